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
  class Limiter {
    constructor(fs) { this.peak = 0; this.keep = Math.exp(-1 / (0.1 * fs)); }
    tick(x) {
      this.peak = Math.max(Math.abs(x), this.peak * this.keep);
      return this.peak > 1 ? x / this.peak : x;
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
      this.n = 0;         // samples since note-on; also the index into the noise
      this.theta = 0;     // phase of the fundamental, in cycles
      this.gate = attackS > 0 ? 0 : 1;
      this.slope = attackS > 0 ? 1 / (attackS * this.fs) : 0;  // of the gate, per sample
      this.released = false;
    }

    release(releaseS) {
      this.released = true;
      this.slope = releaseS > 0 ? -1 / (releaseS * this.fs) : -1;
    }

    get over() { return this.released && this.gate <= 0; }

    // Adds samples [from, to) of this note to `out`.
    add(out, from, to) {
      const { fs, f0, gain, seed, hiss, velocity, slope, released } = this, { amps, noiseLevel } = this.timbre;
      const lastF0 = f0.length - 1, lastGain = gain.length - 1;
      let { n, theta, gate } = this;
      for (let i = from; i < to && !(released && gate <= 0); i++, n++) {
        const f = f0[Math.min(n, lastF0)], audible = Math.min(amps.length, Math.ceil(fs / 2 / f) - 1);
        let x = noiseLevel * hiss.tick(noise(n, seed));
        for (let k = 1; k <= audible; k++) x += amps[k - 1] * sine(k * theta);
        out[i] += velocity * gate * gain[Math.min(n, lastGain)] * x;
        gate = Math.min(1, Math.max(0, gate + slope));
        theta = (theta + f / fs) % 1;
      }
      Object.assign(this, { n, theta, gate });
    }
  }

  // --- many notes, one reverb ---------------------------------------------------------------------
  // What a synth is to the engine: new Synth(patch), noteOn, noteOff, allNotesOff, setters, process(out).
  class HybridSynth {
    constructor(patch) {
      const v = this.values = patch.values;
      this.patch = patch;
      this.goal = { amps: Float64Array.from(v.harmonic_amps), noiseLevel: 1, mix: 1 };
      this.timbre = { amps: this.goal.amps.slice(), noiseLevel: 1, mix: 1 };
      this.attackS = this.releaseS = 0;
      this.voices = [];
      this.started = 0;
      this.limiter = new Limiter(v.fs);
      this.setReverbIR(v.reverb_ir);
    }

    noteOn(id, f0Hz, velocity = 1, gain = 1) {
      this.noteOff(id);
      // Each note hears its own stretch of noise, or a chord's noises would add up like one loud one.
      const seed = this.values.noise_seed + this.started++;
      const voice = new HybridVoice(this.values, this.timbre, f0Hz, { gain, velocity, seed, attackS: this.attackS });
      const held = this.voices.filter((v) => !v.released);
      if (held.length >= HybridSynth.VOICES) held[0].release(0.005);
      this.voices.push(Object.assign(voice, { id }));
    }
    perform(id) {  // the note as it was played when it was learned
      const { f0, gain } = performance(this.patch, this.values.N);
      this.noteOn(id, f0, 1, gain);
    }
    noteOff(id) {
      for (const v of this.voices) if (v.id === id && !v.released) v.release(this.releaseS);
    }
    allNotesOff() { for (const v of this.voices) if (!v.released) v.release(this.releaseS); }

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
      this.dry.fill(0);
      for (const voice of this.voices) voice.add(this.dry, 0, n);
      this.voices = this.voices.filter((v) => !v.over);
      const wet = timbre.mix, dry = (1 - wet) * this.energy;
      for (let i = 0; i < n; i++) {
        out[i] = this.limiter.tick(wet * this.reverb.tick(this.dry[i]) + dry * this.dry[i]);
      }
    }
  }
  HybridSynth.VOICES = 12;

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

  return { noise, sine, RealFFT, Convolver, Limiter, HybridVoice, HybridSynth, renderHybrid,
           synths: { hybrid: HybridSynth } };
}

const DSP = makeDSP();
