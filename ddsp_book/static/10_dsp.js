// The sound itself: every sample that the browser plays is computed in this function.
//
// makeDSP closes over nothing, so its source text *is* the AudioWorklet (see 55_engine.js): the same
// lines run in the audio thread, in the page, and in the tests that hold them to the Python runtime.

function makeDSP() {
  // --- noise ------------------------------------------------------------------------------------
  // Sample i of a noise is a hash of i: any block can start anywhere, and Python draws the same noise.
  // White, zero mean, unit variance (a uniform on ±√3).
  const noise = (i, seed) => {
    let x = (i + Math.imul(seed, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    x = (x ^ (x >>> 16)) >>> 0;
    return (2 * x / 4294967296 - 1) * Math.sqrt(3);
  };

  // --- sine -------------------------------------------------------------------------------------
  // 16384 points and linear interpolation: wrong by at most 2e-8, several times faster than Math.sin.
  const POINTS = 16384;
  const SINE = Float64Array.from({ length: POINTS + 1 }, (_, i) => Math.sin(2 * Math.PI * i / POINTS));
  const sine = (cycles) => {  // cycles ≥ 0; whole cycles fall away in the mask
    const p = cycles * POINTS, whole = p | 0, i = whole & (POINTS - 1);
    return SINE[i] + (p - whole) * (SINE[i + 1] - SINE[i]);
  };

  // --- FFT of real signals ------------------------------------------------------------------------
  // n real samples travel as n/2 complex ones; a last pass untangles the two halves.
  class RealFFT {
    constructor(n) {
      const half = n / 2, bits = Math.log2(half);
      this.n = n;
      this.cos = Float64Array.from({ length: half + 1 }, (_, k) => Math.cos(2 * Math.PI * k / n));
      this.sin = Float64Array.from({ length: half + 1 }, (_, k) => Math.sin(2 * Math.PI * k / n));
      this.order = Uint32Array.from({ length: half }, (_, i) => {
        let r = 0;
        for (let b = 0; b < bits; b++) r |= ((i >> b) & 1) << (bits - 1 - b);
        return r;
      });
      this.a = new Float64Array(half);
      this.b = new Float64Array(half);
    }

    // Radix-2 butterflies over bit-reversed input. Swapping re and im runs it backwards.
    butterflies(re, im) {
      const half = this.n / 2;
      for (let size = 2; size <= half; size *= 2) {
        const stride = this.n / size, reach = size / 2;
        for (let start = 0; start < half; start += size) {
          for (let j = 0; j < reach; j++) {
            const c = this.cos[j * stride], s = -this.sin[j * stride], p = start + j, q = p + reach;
            const x = re[q] * c - im[q] * s, y = re[q] * s + im[q] * c;
            re[q] = re[p] - x; im[q] = im[p] - y;
            re[p] += x; im[p] += y;
          }
        }
      }
    }

    // x (n) → re, im (n/2 + 1 each)
    forward(x, re, im) {
      const { n, a, b, order } = this, half = n / 2;
      for (let i = 0; i < half; i++) { a[order[i]] = x[2 * i]; b[order[i]] = x[2 * i + 1]; }
      this.butterflies(a, b);
      for (let k = 0; k <= half; k++) {
        const p = k % half, q = (half - k) % half, c = this.cos[k], s = this.sin[k];
        const evenRe = (a[p] + a[q]) / 2, evenIm = (b[p] - b[q]) / 2;
        const oddRe = (b[p] + b[q]) / 2, oddIm = (a[q] - a[p]) / 2;
        re[k] = evenRe + oddRe * c + oddIm * s;
        im[k] = evenIm + oddIm * c - oddRe * s;
      }
    }

    inverse(re, im, x) {
      const { n, a, b, order } = this, half = n / 2;
      for (let k = 0; k < half; k++) {
        const m = half - k, c = this.cos[k], s = this.sin[k], i = order[k];
        const evenRe = (re[k] + re[m]) / 2, evenIm = (im[k] - im[m]) / 2;
        const dRe = (re[k] - re[m]) / 2, dIm = (im[k] + im[m]) / 2;
        const oddRe = dRe * c - dIm * s, oddIm = dRe * s + dIm * c;
        a[i] = evenRe - oddIm; b[i] = evenIm + oddRe;
      }
      this.butterflies(b, a);
      for (let i = 0; i < half; i++) { x[2 * i] = a[i] / half; x[2 * i + 1] = b[i] / half; }
    }
  }

  // --- convolution without latency ----------------------------------------------------------------
  // The first P taps act at once and are summed directly. Every later tap acts at least P samples
  // after its input, time enough to gather a block of P and convolve it by FFT (overlap-save).
  const P = 128;
  class Convolver {
    constructor(ir) {
      const parts = Math.max(0, Math.ceil(ir.length / P) - 1), bins = P + 1;
      this.head = Float64Array.from(ir.slice(0, P));
      this.line = new Float64Array(2 * P);  // the last P inputs, twice: the taps read one straight run
      this.tail = new Float64Array(P);      // what earlier blocks still add to this one
      this.at = 0;
      this.parts = parts;
      if (!parts) return;
      this.fft = new RealFFT(2 * P);
      this.window = new Float64Array(2 * P);
      this.block = new Float64Array(2 * P);
      this.sumRe = new Float64Array(bins);
      this.sumIm = new Float64Array(bins);
      const spectra = () => Array.from({ length: parts }, () => [new Float64Array(bins), new Float64Array(bins)]);
      this.inputs = spectra();              // a ring of past input spectra
      this.filters = spectra();
      this.newest = 0;
      const taps = new Float64Array(2 * P);
      this.filters.forEach(([re, im], p) => {
        taps.fill(0).set(ir.slice((p + 1) * P, (p + 2) * P));
        this.fft.forward(taps, re, im);
      });
    }

    tick(x) {
      const { head, line, at } = this;
      line[at] = line[at + P] = x;
      let y = this.tail[at];
      for (let j = 0, newest = at + P; j < head.length; j++) y += head[j] * line[newest - j];
      this.at = at + 1;
      if (this.at === P) { this.at = 0; if (this.parts) this.turn(); }
      return y;
    }

    // A block is full: transform it, and prepare what all past blocks add to the next one.
    turn() {
      const { parts, window, sumRe, sumIm } = this;
      window.copyWithin(0, P);
      window.set(this.line.subarray(0, P), P);
      this.newest = (this.newest + 1) % parts;
      this.fft.forward(window, ...this.inputs[this.newest]);
      sumRe.fill(0); sumIm.fill(0);
      for (let p = 0; p < parts; p++) {
        const [xr, xi] = this.inputs[(this.newest - p + parts) % parts], [hr, hi] = this.filters[p];
        for (let k = 0; k <= P; k++) {
          sumRe[k] += xr[k] * hr[k] - xi[k] * hi[k];
          sumIm[k] += xr[k] * hi[k] + xi[k] * hr[k];
        }
      }
      const y = this.block;
      this.fft.inverse(sumRe, sumIm, y);
      this.tail.set(y.subarray(P));
    }
  }

  // --- limiter --------------------------------------------------------------------------------------
  // Identity below full scale. Above it, gain falls at once and recovers in about a tenth of a second.
  // What is no number is silence, so that it reaches no ear and does not stay.
  class Limiter {
    constructor(fs) { this.peak = 0; this.keep = Math.exp(-1 / (0.1 * fs)); }
    tick(x) {
      if (!Number.isFinite(x)) return 0;
      this.peak = Math.max(Math.abs(x), this.peak * this.keep);
      return this.peak > 1 ? x / this.peak : x;
    }
  }

  // --- a gate that opens and closes without a click ---------------------------------------------------
  class Gate {
    constructor(openS, fs) {
      Object.assign(this, { fs, level: openS > 0 ? 0 : 1, slope: openS > 0 ? 1 / (openS * fs) : 0, closing: false });
    }
    close(closeS) {
      this.closing = true;
      this.slope = closeS > 0 ? -1 / (closeS * this.fs) : -1;
    }
    get closed() { return this.closing && this.level <= 0; }
    tick() {
      const now = this.level;
      this.level = Math.min(1, Math.max(0, now + this.slope));
      return now;
    }
  }

  // --- what all synths are to the engine: new Synth(patch, fs), noteOn, noteOff, allNotesOff, setters,
  // process(out). A voice has add(out, from, to), release(s), cut(s), released and over.
  class Synth {
    constructor(patch, fs, most) {
      Object.assign(this, { patch, fs, most, voices: [], releaseS: 0, limiter: new Limiter(fs) });
    }
    start(id, voice) {
      this.noteOff(id);
      const rivals = this.voices.filter((v) => !v.stolen);
      if (rivals.length >= this.most) {  // the oldest makes room, if possible one that fades already
        const oldest = rivals.find((v) => v.released) || rivals[0];
        oldest.stolen = true;
        oldest.cut(0.005);
      }
      this.voices.push(Object.assign(voice, { id }));
    }
    noteOff(id) {
      for (const v of this.voices) if (v.id === id && !v.released) v.release(this.releaseS);
    }
    allNotesOff() { for (const v of this.voices) if (!v.released) v.release(this.releaseS); }
    sing(out) {  // the sum of all voices
      out.fill(0);
      for (const voice of this.voices) voice.add(out, 0, out.length);
      this.voices = this.voices.filter((v) => !v.over);
    }
    process(out) {
      const rest = !this.voices.length && this.limiter.peak < 1;
      this.sing(out);
      if (rest) return;
      for (let i = 0; i < out.length; i++) out[i] = this.limiter.tick(out[i]);
    }
  }

  // --- how a note was played: pitch and loudness, known every few samples, for each of n -------------
  const performance = ({ values, performance: p }, n) => {
    const curve = (points) => Float64Array.from({ length: n }, (_, i) => {
      const at = i / p.every, k = Math.floor(at), last = points.length - 1;
      return k >= last ? points[last] : points[k] + (at - k) * (points[k + 1] - points[k]);
    });
    return p && p.f0_hz.length && p.gain.length ? { f0: curve(p.f0_hz), gain: curve(p.gain) } : { f0: values.f0_hz, gain: 1 };
  };

  // --- one note of the hybrid synth: harmonics + filtered noise, through a gate ----------------------
  // `timbre` = {amps, noiseLevel} is shared by all notes and may change while they sound. Pitch and
  // gain are numbers or curves, one value per sample, that hold their last value.
  class HybridVoice {
    constructor(values, timbre, f0, { gain = 1, velocity = 1, attackS = 0, seed = values.noise_seed } = {}) {
      const curve = (x) => (typeof x === 'number' ? Float64Array.of(x) : Float64Array.from(x));
      Object.assign(this, { timbre, f0: curve(f0), gain: curve(gain), velocity, seed, fs: values.fs });
      this.hiss = new Convolver(values.noise_fir);
      this.gate = new Gate(attackS, values.fs);
      this.n = 0;         // samples since note-on; also the index into the noise
      this.theta = 0;     // phase of the fundamental, in cycles
    }

    release(releaseS) { this.gate.close(releaseS); }
    cut(fadeS) { this.gate.close(fadeS); }
    get released() { return this.gate.closing; }
    get over() { return this.gate.closed; }

    // Adds samples [from, to) of this note to `out`.
    add(out, from, to) {
      const { fs, f0, gain, seed, hiss, velocity, gate } = this, { amps, noiseLevel } = this.timbre;
      const lastF0 = f0.length - 1, lastGain = gain.length - 1;
      let { n, theta } = this;
      for (let i = from; i < to && !gate.closed; i++, n++) {
        const f = f0[Math.min(n, lastF0)], audible = Math.min(amps.length, Math.ceil(fs / 2 / f) - 1);
        let x = noiseLevel * hiss.tick(noise(n, seed));
        for (let k = 1; k <= audible; k++) x += amps[k - 1] * sine(k * theta);
        out[i] += velocity * gate.tick() * gain[Math.min(n, lastGain)] * x;
        theta = (theta + f / fs) % 1;
      }
      Object.assign(this, { n, theta });
    }
  }

  // --- many notes, one reverb ---------------------------------------------------------------------
  class HybridSynth extends Synth {
    constructor(patch) {
      const v = patch.values;
      super(patch, v.fs, 12);
      this.values = v;
      this.goal = { amps: Float64Array.from(v.harmonic_amps), noiseLevel: 1, mix: 1 };
      this.timbre = { amps: this.goal.amps.slice(), noiseLevel: 1, mix: 1 };
      this.attackS = 0;
      this.started = 0;
      this.setReverbIR(v.reverb_ir);
    }

    noteOn(id, f0Hz, velocity = 1, gain = 1) {
      // Each note hears its own stretch of noise, or a chord's noises would add up like one loud one.
      const seed = this.values.noise_seed + this.started++;
      this.start(id, new HybridVoice(this.values, this.timbre, f0Hz, { gain, velocity, seed, attackS: this.attackS }));
    }
    perform(id) {  // the note as it was played when it was learned
      const { f0, gain } = performance(this.patch, this.values.N);
      this.noteOn(id, f0, 1, gain);
    }

    setHarmonic(k, amp) { this.goal.amps[k - 1] = amp; }
    setNoise(level) { this.goal.noiseLevel = level; }
    setReverb(mix) { this.goal.mix = mix; }
    setAttack(s) { this.attackS = s; }
    setRelease(s) { this.releaseS = s; }
    setReverbIR(ir) {
      if (!ir.length) ir = [1];  // a patch without a room
      this.reverb = new Convolver(ir);
      this.energy = Math.sqrt(ir.reduce((sum, h) => sum + h * h, 0));  // keeps the dry sound as loud
      this.ring = ir.length;
      this.quiet = Infinity;  // samples since the last note: the reverb rests once it has rung out
    }

    process(out) {
      const n = out.length, { goal, timbre } = this;
      const step = 1 - Math.exp(-n / (0.015 * this.values.fs));  // knobs glide, so that they do not click
      const toward = (now, then) => (Math.abs(then - now) < 1e-9 ? then : now + step * (then - now));
      timbre.noiseLevel = toward(timbre.noiseLevel, goal.noiseLevel);
      timbre.mix = toward(timbre.mix, goal.mix);
      for (let k = 0; k < goal.amps.length; k++) timbre.amps[k] = toward(timbre.amps[k], goal.amps[k]);

      this.quiet = this.voices.length ? 0 : this.quiet + n;
      if (this.quiet > this.ring + n) { out.fill(0); return; }
      if (!this.dry || this.dry.length !== n) this.dry = new Float64Array(n);
      this.sing(this.dry);
      const wet = timbre.mix, dry = (1 - wet) * this.energy;
      for (let i = 0; i < n; i++) {
        out[i] = this.limiter.tick(wet * this.reverb.tick(this.dry[i]) + dry * this.dry[i]);
      }
    }
  }

  // One note exactly as the patch describes it, block by block: what the Python runtime is compared with.
  // Without a pitch: as it was played when it was learned.
  const renderHybrid = (patch, f0Hz, n = patch.values.N, blockSize = 128) => {
    const { values } = patch, { f0, gain } = f0Hz == null ? performance(patch, n) : { f0: f0Hz, gain: 1 };
    const timbre = { amps: Float64Array.from(values.harmonic_amps), noiseLevel: 1 };
    const voice = new HybridVoice(values, timbre, f0, { gain });
    const reverb = new Convolver(values.reverb_ir.length ? values.reverb_ir : [1]);
    const out = new Float64Array(n);
    for (let from = 0; from < n; from += blockSize) {
      const to = Math.min(n, from + blockSize);
      voice.add(out, from, to);
      for (let i = from; i < to; i++) out[i] = reverb.tick(out[i]);
    }
    return out;
  };

  // --- two operators: y = sin(2π φ_car + I sin 2π φ_mod) ---------------------------------------------
  // A key transposes both, so that the sound keeps its colour; f_car itself plays as the knobs stand. An
  // operator that reaches half the rate is silent, as in Python.
  const TURN = 2 * Math.PI, LIFT = 16;  // whole cycles that keep every phase above 0, as sine wants it
  class FM2Voice {
    constructor(values, fs, f0 = values.f_car, velocity = 1, attackS = 0) {
      Object.assign(this, { values, fs, velocity, scale: f0 / values.f_car, car: 0, mod: 0, stepCar: 0, stepMod: 0 });
      Object.assign(this, this.goal());
      this.gate = new Gate(attackS, fs);
    }
    release(releaseS) { this.gate.close(releaseS); }
    cut(fadeS) { this.gate.close(fadeS); }
    get released() { return this.gate.closing; }
    get over() { return this.gate.closed; }

    goal() {  // what reaches half the rate fades at the pitch it had
      const { values: { f_car, f_mod, I }, fs, scale } = this, car = scale * f_car / fs, mod = scale * f_mod / fs;
      if (car < 0.5) this.stepCar = car;
      if (mod < 0.5) this.stepMod = mod;
      return { level: car < 0.5 ? 1 : 0, index: mod < 0.5 ? I : 0 };
    }

    add(out, from, to) {
      const n = to - from, goal = this.goal(), { gate, velocity, stepCar, stepMod } = this;
      const slide = (goal.index - this.index) / n, rise = (goal.level - this.level) / n;
      let { car, mod, index, level } = this;
      for (let i = from; i < to; i++) {
        out[i] += velocity * level * gate.tick() * sine(car + LIFT + index / TURN * sine(mod));
        car = (car + stepCar) % 1;
        mod = (mod + stepMod) % 1;
        index += slide;
        level += rise;
      }
      Object.assign(this, { car, mod }, goal);
    }
  }

  class FM2Synth extends Synth {
    constructor(patch, fs) {
      super({ ...patch, values: { ...patch.values } }, fs, 16);
      this.releaseS = 0.08;
    }
    noteOn(id, f0Hz, velocity = 1) { this.start(id, new FM2Voice(this.patch.values, this.fs, f0Hz, velocity, 0.005)); }
    set(name, value) { this.patch.values[name] = value; }
  }

  // --- envelope: up, down to the sustain level, and from wherever it is to nothing --------------------
  // Each segment is bent by `curve` c: (1 − e^(−cx)) / (1 − e^(−c)); 0 is straight. Within a segment
  // the next level is then a·level + b, so a block costs one multiplication per sample.
  const STRAIGHT = 1e-6;
  const bend = (x, c) => (Math.abs(c) < STRAIGHT ? x : Math.expm1(-c * x) / Math.expm1(-c));
  class Envelope {
    constructor(attackS, decayS, sustain, releaseS, curve, fs) {
      Object.assign(this, { attack: attackS * fs, decay: decayS * fs, fall: releaseS * fs, sustain, curve, off: Infinity, top: 0 });
    }

    release(n) { if (n < this.off) { this.top = this.at(n); this.off = n; } }

    // The segment that sample n lies in: start, length, from, to.
    segment(n) {
      const { attack, decay, fall, sustain, off, top } = this;
      if (n >= off) return n < off + fall ? [off, fall, top, 0] : [off + fall, Infinity, 0, 0];
      if (n < attack) return [0, attack, 0, 1];
      return n < attack + decay ? [attack, decay, 1, sustain] : [attack + decay, Infinity, sustain, sustain];
    }

    at(n) {
      const [start, length, from, to] = this.segment(n);
      return from === to ? from : from + (to - from) * bend((n - start) / length, this.curve);
    }

    // out[i] = level at sample n + i. False if all of them are zero.
    fill(out, n, count) {
      let sounds = false;
      for (let i = 0; i < count;) {
        const [start, length, from, to] = this.segment(n + i), c = this.curve, straight = Math.abs(c) < STRAIGHT;
        const end = Math.min(count, Math.max(i + 1, Math.ceil(Math.min(start + length, n + i < this.off ? this.off : Infinity) - n)));
        const a = straight || from === to ? 1 : Math.exp(-c / length);
        const b = straight || from === to ? (to - from) / length : (from - (to - from) / Math.expm1(-c)) * (1 - a);
        let level = this.at(n + i);
        sounds = sounds || from !== 0 || to !== 0;
        for (; i < end; i++) { out[i] = level; level = a * level + b; }
      }
      return sounds;
    }
  }

  // --- what the synths with a panel share ---------------------------------------------------------
  // One note. Knobs of `values` may move while it sounds, except those of the envelopes, which it keeps.
  // A subclass has envelopes, those of them that are heard, and block(out, at, count).
  const BLOCK = 128;
  class EnvelopeVoice {
    constructor(values, fs, f0 = values.f0_hz, velocity = 1) {
      Object.assign(this, { values, fs, f0, velocity, n: 0, released: false, gate: new Gate(0, fs) });
    }
    release() { this.releaseAt(this.n); }
    releaseAt(n) {  // in samples since note-on; need not be whole
      this.released = true;
      this.envelopes.forEach((e) => e.release(n));
    }
    cut(fadeS) { this.released = true; this.gate.close(fadeS); }
    get over() { return this.gate.closed || (this.released && this.heard.every(({ off, fall }) => this.n >= off + fall)); }
    add(out, from, to) {
      for (let at = from; at < to; at += BLOCK) this.block(out, at, Math.min(BLOCK, to - at));
    }
  }

  class PanelSynth extends Synth {
    constructor(patch, fs, most, Voice) {
      super(JSON.parse(JSON.stringify(patch)), fs, most);
      Object.assign(this, { Voice, started: 0 });
    }
    noteOn(id, f0Hz, velocity = 1) { this.start(id, new this.Voice(this.patch.values, this.fs, f0Hz, velocity, this.started++)); }
    set(name, value, i) {
      if (i === undefined) this.patch.values[name] = value; else this.patch.values[name][i] = value;
    }
  }

  // One note as its patch says: pitch, length and velocity stand there too.
  const render = (Voice) => ({ values }, fs, n, f0Hz = values.f0_hz) => {
    const voice = new Voice(values, fs, f0Hz, values.velocity), out = new Float64Array(n);
    voice.releaseAt(values.note_s * fs);
    voice.add(out, 0, n);
    return out;
  };

  // --- six operators ---------------------------------------------------------------------------------
  // The 32 algorithms: "modulator and modulated", carriers, and where the feedback comes from and goes.
  const ALGORITHMS = `21 65 54 43|13|66  21 65 54 43|13|22  32 21 65 54|14|66  32 21 65 54|14|46
    21 43 65|135|66  21 43 65|135|56  21 43 65 53|13|66  21 43 65 53|13|44
    21 43 65 53|13|22  32 21 54 64|14|33  32 21 54 64|14|66  21 43 53 63|13|22
    21 43 53 63|13|66  21 43 54 64|13|66  21 43 54 64|13|22  21 31 43 51 65|1|66
    21 31 43 51 65|1|22  21 31 41 54 65|1|33  32 21 64 65|145|66  31 32 54 64|124|33
    31 32 64 65|1245|33  21 63 64 65|1345|66  32 64 65|1245|66  63 64 65|12345|66
    64 65|12345|66  32 54 64|124|66  32 54 64|124|33  21 54 43|136|55
    43 65|1235|66  54 43|1236|55  65|12345|66  |123456|66`.split(/\s{2,}|\n/).map((line) => {
    const [edges, carriers, [from, to]] = line.split('|'), pairs = edges ? edges.split(' ') : [];
    return {
      edges: pairs.map(([m, c]) => [+m, +c]),
      carriers: [...carriers].map(Number),
      feedback: [+from, +to],
      into: [1, 2, 3, 4, 5, 6].map((op) => pairs.filter((p) => +p[1] === op).map((p) => p[0] - 1)),  // counted from 0
    };
  });

  const six = () => Array.from({ length: 6 }, () => new Float64Array(BLOCK));
  const scratch = { amp: six(), y: six(), sum: new Float64Array(BLOCK), start: new Float64Array(6) };

  class FM6Voice extends EnvelopeVoice {
    constructor(values, fs, f0, velocity) {
      super(values, fs, f0, velocity);
      const { attack_s: a, decay_s: d, sustain: s, release_s: r, curve } = values;
      this.envelopes = a.map((_, i) => new Envelope(a[i], d[i], s[i], r[i], curve, fs));
      this.phase = new Float64Array(6);
      this.steps = new Float64Array(6);
      this.level = values.level.map((level, i) => (this.step(i) < 0.5 ? level : 0));
      this.feedback = values.feedback;
      this.last = this.before = 0;
    }

    get heard() { return ALGORITHMS[this.values.algorithm - 1].carriers.map((op) => this.envelopes[op - 1]); }

    step(i) {  // cycles per sample of operator i
      const { fixed, fixed_hz, ratio, detune_cents } = this.values;
      return (fixed[i] ? fixed_hz[i] : this.f0 * ratio[i] * 2 ** (detune_cents[i] / 1200)) / this.fs;
    }

    block(out, at, count) {
      const { values, level, steps, gate } = this, { start, amp, y, sum } = scratch;
      const { into, carriers, feedback: [source, target] } = ALGORITHMS[values.algorithm - 1];
      for (let op = 5; op >= 0; op--) {  // modulators have the higher numbers
        const now = this.step(op), silent = now >= 0.5;  // what reaches half the rate fades at the pitch it had
        if (!silent) steps[op] = now;
        const step = steps[op], goal = silent ? 0 : values.level[op], rise = (goal - level[op]) / count;
        start[op] = this.phase[op] + LIFT;
        this.phase[op] = (this.phase[op] + count * step) % 1;
        const a = amp[op], sounds = this.envelopes[op].fill(a, this.n, count) && (level[op] || rise);
        if (sounds) for (let i = 0; i < count; i++) a[i] *= level[op] + i * rise;
        else a.fill(0, 0, count);
        level[op] = goal;

        const result = y[op], mods = into[op];
        if (op < target && op >= source - 1) {  // the loop of the feedback, once all of it is ready
          if (op === source - 1) this.loop(count, source - 1, target - 1);
        } else if (!sounds) result.fill(0, 0, count);
        else if (!mods.length) for (let i = 0, p = start[op]; i < count; i++, p += step) result[i] = a[i] * sine(p);
        else {
          let moved = y[mods[0]];
          if (mods.length > 1) {
            for (let i = 0; i < count; i++) { sum[i] = 0; for (let m = 0; m < mods.length; m++) sum[i] += y[mods[m]][i]; }
            moved = sum;
          }
          for (let i = 0, p = start[op]; i < count; i++, p += step) result[i] = a[i] * sine(p + moved[i]);
        }
      }
      const share = this.velocity / carriers.length;
      for (let i = 0; i < count; i++) {
        let x = 0;
        for (let c = 0; c < carriers.length; c++) x += y[carriers[c] - 1][i];
        out[at + i] += share * gate.tick() * x;
      }
      this.n += count;
    }

    // The operators from `target` down to `source` modulate one another in a row, and the mean of the
    // last two samples of `source` moves the phase of `target`: one sample needs the one before. In
    // most algorithms the row is a single operator; in 4 it has three, in 6 two.
    loop(count, source, target) {
      const { start, amp, y } = scratch, { steps } = this;
      let { last, before, feedback } = this;
      const slide = (this.values.feedback - feedback) / count;
      for (let i = 0; i < count; i++, feedback += slide) {
        let x = feedback * (last + before) / 2;
        for (let op = target; op >= source; op--) y[op][i] = x = amp[op][i] * sine(start[op] + i * steps[op] + x);
        before = last;
        last = x;
      }
      Object.assign(this, { last, before, feedback: this.values.feedback });
    }
  }

  class FM6Synth extends PanelSynth {
    constructor(patch, fs) { super(patch, fs, 48, FM6Voice); }
  }
  const renderFM6 = render(FM6Voice);

  // --- shapes without aliasing ----------------------------------------------------------------------
  // A jump and a corner as they look through a short low-pass, x samples away; beyond ±8 they are their
  // plain selves. Sums of seven sines and cosines, by Clenshaw's recursion.
  const REACH = 8, TAPER = [1, 1, 1, 1, 1, 0.7, 0.2];
  const JUMP = TAPER.map((c, m) => c / (Math.PI * (m + 1))), CORNER = TAPER.map((c, m) => c * REACH / (Math.PI * (m + 1)) ** 2);
  const CORNER_0 = CORNER.reduce((sum, c, m) => sum + (m % 2 ? c : -c), REACH / 4);
  const jump = (x) => {  // from −½ to ½
    if (x >= REACH || x <= -REACH) return x > 0 ? 0.5 : -0.5;
    const turn = x / (2 * REACH), twice = 2 * sine(turn + 1.25);
    let a = 0, b = 0;
    for (let m = 6; m >= 0; m--) { const next = twice * a - b + JUMP[m]; b = a; a = next; }
    return turn + a * sine(turn + 1);
  };
  const corner = (x) => {  // minus |x| / 2
    x = Math.abs(x);
    if (x >= REACH) return 0;
    const turn = x / (2 * REACH), cos = sine(turn + 0.25);
    let a = 0, b = 0;
    for (let m = 6; m >= 0; m--) { const next = 2 * cos * a - b + CORNER[m]; b = a; a = next; }
    return turn * x / 2 - x / 2 + CORNER_0 - a * cos + b;
  };
  // At phase p, in cycles, and `step` cycles per sample. Above 1/16 neighbours overlap, `more` on each side.
  const overlap = (step) => Math.max(0, Math.ceil(REACH * step - 0.5));
  const saw = (p, step, more) => {
    const d = p - Math.round(p);
    let y = d - jump(d / step);
    for (let j = 1; j <= more; j++) y -= jump((d - j) / step) + jump((d + j) / step);
    return 2 * y;
  };
  const triangle = (p, step, more) => {
    const d = p - Math.round(p), h = d > 0 ? d - 0.5 : d + 0.5;
    let y = 0;
    for (let j = -more; j <= more; j++) y += corner((d - j) / step) - corner((h - j) / step);
    return 4 * Math.abs(d) - 1 + 8 * step * y;
  };

  // x += gain × shape. One short loop for each, so that the compiler takes all of it in; a pulse is a saw
  // less the same one `width` later.
  const addSaw = (x, count, p, step, gain, slide, width = 0, widen = 0) => {
    const more = overlap(step);
    for (let i = 0; i < count; i++) {
      x[i] += (gain + i * slide) * saw(p - width - i * widen, step, more);
      if ((p += step) >= 1) p -= 1;
    }
  };
  const addTriangle = (x, count, p, step, gain, slide) => {
    const more = overlap(step);
    for (let i = 0; i < count; i++) {
      x[i] += (gain + i * slide) * triangle(p, step, more);
      if ((p += step) >= 1) p -= 1;
    }
  };
  const addSine = (x, count, p, step, gain, slide) => {
    for (let i = 0; i < count; i++) x[i] += (gain + i * slide) * sine(p + i * step);
  };
  const ADD = [(x, count, p, step, gain, slide) => addSaw(x, count, p, step, gain, slide), addSaw, addTriangle, addSine];

  // --- subtractive: rich shapes, a filter that takes away, an envelope ------------------------------
  // The filters: 0 low-pass, 1 two of them, 2 band-pass, 3 high-pass. At rest they are the biquads of
  // R. Bristow-Johnson's cookbook. Their gain at hz:
  const MIDDLE_C = 261.6256;
  const filterGain = (kind, cutoffHz, q, fs, hz) => {
    const w = Math.tan(Math.PI * hz / fs) / Math.tan(Math.PI * cutoffHz / fs), under = (q) => Math.hypot(1 - w * w, w / q);
    return [1, 1 / under(Math.SQRT1_2), w / q, w * w][kind] / under(q);
  };

  // x through one of them, in place: two integrators in a ring, which no leap of the cutoff can make burst.
  // t = tan(π cutoff / fs) for each sample, 1 / Q from `damp` on in steps of `slide`, the states in `past`.
  const filterBlock = (x, count, kind, t, damp, slide, past) => {
    let [s1, s2] = past;
    for (let i = 0; i < count; i++, damp += slide) {
      const band = (s1 + t[i] * (x[i] - s2)) / (1 + t[i] * (t[i] + damp)), low = s2 + t[i] * band;
      s1 = 2 * band - s1;
      s2 = 2 * low - s2;
      x[i] = kind < 2 ? low : kind === 2 ? damp * band : x[i] - damp * band - low;
    }
    if (Number.isFinite(s1 + s2)) { past[0] = s1; past[1] = s2; } else past.fill(0);
  };

  const buffer = () => new Float64Array(BLOCK), MOVING = 13;  // how many things may move while a note sounds
  const sub = { slide: new Float64Array(MOVING), env: buffer(), amp: buffer(), x: buffer(), t: buffer() };
  class SubtractiveVoice extends EnvelopeVoice {
    constructor(values, fs, f0, velocity, seed = 0) {
      super(values, fs, f0, velocity);
      const v = values;
      this.loudness = new Envelope(v.attack_s, v.decay_s, v.sustain, v.release_s, v.curve, fs);
      this.sweep = new Envelope(v.filter_attack_s, v.filter_decay_s, v.filter_sustain, v.filter_release_s, v.curve, fs);
      Object.assign(this, { envelopes: [this.loudness, this.sweep], heard: [this.loudness], seed });
      this.now = this.aim(new Float64Array(MOVING));
      this.past = [new Float64Array(2), new Float64Array(2)];
      this.phase = new Float64Array(2);
    }

    // Where the knobs stand: levels of the jumps at the end of a cycle and within it, of triangle and sine; the
    // same of the second oscillator; noise; width; logarithm of the cutoff, how far the envelope moves it; 1 / Q.
    aim(to) {
      const { values: v } = this, tones = (v.saw + v.pulse + v.triangle + v.sine) * (1 + v.second);
      const gain = 1 / (Math.max(1, tones + v.noise) * Math.sqrt(0.5 + v.resonance));
      to[0] = gain * (v.saw - v.pulse); to[1] = gain * v.pulse; to[2] = gain * v.triangle; to[3] = gain * v.sine;
      for (let k = 0; k < 4; k++) to[4 + k] = v.second * to[k];
      to[8] = gain * v.noise;
      to[9] = v.width;
      to[10] = Math.log(v.cutoff_hz) + v.key_tracking * Math.log(this.f0 / MIDDLE_C);
      to[11] = v.sweep_octaves * Math.LN2;
      to[12] = 1 / v.resonance;
      return to;
    }

    block(out, at, count) {
      const { now, past, gate, fs, velocity, values: { filter } } = this, { slide, env, amp, x, t } = sub;
      const share = (1 - Math.exp(-count / (0.015 * fs))) / count;  // knobs glide, so that they do not click
      this.aim(slide);
      for (let k = 0; k < MOVING; k++) slide[k] = share * (slide[k] - now[k]);
      if (this.f0 < fs / 2 && this.loudness.fill(amp, this.n, count)) {
        this.oscillate(x, count, slide);
        this.sweep.fill(env, this.n, count);
        const low = Math.log(20), high = Math.log(0.45 * fs);  // the cutoff stays in between
        for (let i = 0, last; i < count; i++) {
          const log = Math.min(high, Math.max(low, now[10] + i * slide[10] + (now[11] + i * slide[11]) * env[i]));
          t[i] = log === last ? t[i - 1] : Math.tan(Math.PI / fs * Math.exp(log));
          last = log;
        }
        if (filter === 1) filterBlock(x, count, 0, t, Math.SQRT2, 0, past[1]);
        filterBlock(x, count, filter, t, now[12], slide[12], past[0]);
        for (let i = 0; i < count; i++) out[at + i] += velocity * gate.tick() * amp[i] * x[i];
      }
      for (let k = 0; k < MOVING; k++) now[k] += count * slide[k];
      this.n += count;
    }

    // One block of both oscillators and the noise.
    oscillate(x, count, slide) {
      const { now, fs, f0, seed, n, phase } = this;
      x.fill(0, 0, count);
      for (let o = 0; o < 2; o++) {
        const step = f0 / fs * (o ? 2 ** (this.values.detune_cents / 1200) : 1), p = phase[o];
        phase[o] = (p + count * step) % 1;
        for (let k = 4 * o; k < 4 * o + 4 && step < 0.5; k++) {
          if (now[k] || slide[k]) ADD[k % 4](x, count, p, step, now[k], slide[k], now[9], slide[9]);
        }
      }
      if (now[8] || slide[8]) for (let i = 0; i < count; i++) x[i] += (now[8] + i * slide[8]) / Math.sqrt(3) * noise(n + i, seed);
    }
  }

  class SubtractiveSynth extends PanelSynth {
    constructor(patch, fs) { super(patch, fs, 32, SubtractiveVoice); }
  }
  const renderSubtractive = render(SubtractiveVoice);

  return { noise, sine, RealFFT, Convolver, Limiter, HybridVoice, HybridSynth, renderHybrid,
           FM2Voice, FM6Voice, FM6Synth, Envelope, bend, ALGORITHMS, renderFM6,
           SubtractiveVoice, SubtractiveSynth, renderSubtractive, filterGain, saw, triangle, MIDDLE_C,
           synths: { hybrid: HybridSynth, fm2: FM2Synth, fm6: FM6Synth, subtractive: SubtractiveSynth } };
}

const DSP = makeDSP();
