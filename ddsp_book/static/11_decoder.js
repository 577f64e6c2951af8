// A learned instrument, frame by frame: ddsp_book's DDSPDecoder in JavaScript. A test holds it to PyTorch.
//
// Like makeDSP, this function closes over nothing but what it is given: its text goes to the audio thread.

function makeDecoder(DSP) {
  // --- network: pitch and loudness → GRU → what the synthesizers are to play ------------------------
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const expSigmoid = (x) => 2 * Math.exp(-Math.LN10 * Math.log1p(Math.exp(-x))) + 1e-7;

  // Weights times x, plus bias. Four rows at a time: their sums do not wait for each other.
  const dense = (weight, bias, x) => {
    const n = x.length, rows = bias.length, out = Float64Array.from(bias);
    let row = 0;
    for (; row + 4 <= rows; row += 4) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let j = 0, at = row * n; j < n; j++, at++) {
        const v = x[j];
        a += weight[at] * v; b += weight[at + n] * v; c += weight[at + 2 * n] * v; d += weight[at + 3 * n] * v;
      }
      out[row] += a; out[row + 1] += b; out[row + 2] += c; out[row + 3] += d;
    }
    for (; row < rows; row++) for (let j = 0; j < n; j++) out[row] += weight[row * n + j] * x[j];
    return out;
  };

  const join = (...parts) => {
    const all = new Float64Array(parts.reduce((n, part) => n + part.length, 0));
    parts.reduce((at, part) => { all.set(part, at); return at + part.length; }, 0);
    return all;
  };

  class Network {
    constructor({ settings, weights }) {
      Object.assign(this, { settings, weights });
      this.forget();
    }
    forget() { this.state = new Float64Array(this.settings.hidden); }

    mlp(name, x) {  // Linear, LayerNorm, LeakyReLU, so many times
      const w = this.weights;
      for (let i = 0; i < 3 * this.settings.layers; i += 3) {
        x = dense(w[`${name}.${i}.weight`], w[`${name}.${i}.bias`], x);
        const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
        const spread = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length + 1e-5);
        const scale = w[`${name}.${i + 1}.weight`], shift = w[`${name}.${i + 1}.bias`];
        x = x.map((v, k) => {
          const y = (v - mean) / spread * scale[k] + shift[k];
          return y > 0 ? y : 0.01 * y;
        });
      }
      return x;
    }

    gru(x) {  // reset, update and new gate, one after the other in each matrix
      const w = this.weights, n = this.state.length, { state } = this;
      const a = dense(w['gru.weight_ih_l0'], w['gru.bias_ih_l0'], x);
      const b = dense(w['gru.weight_hh_l0'], w['gru.bias_hh_l0'], state);
      this.state = state.map((old, k) => {
        const reset = sigmoid(a[k] + b[k]), keep = sigmoid(a[n + k] + b[n + k]);
        const fresh = Math.tanh(a[2 * n + k] + reset * b[2 * n + k]);
        return fresh + keep * (old - fresh);
      });
      return this.state;
    }

    step(f0, db, who) {
      const { n_harmonics: n, instruments, follows } = this.settings, w = this.weights;
      const midi = 69 + 12 * Math.log2(Math.max(f0, 8) / 440), loud = Math.min(20, Math.max(-100, db));
      const known = join(this.mlp('hears_f0', [midi / 127]), this.mlp('hears_loudness', [loud / 80 + 1]),
        instruments.length > 1 ? w['who.weight'].subarray(16 * who, 16 * who + 16) : []);
      const heads = dense(w['heads.weight'], w['heads.bias'], this.mlp('out', join(known, this.gru(known))));
      const lift = follows ? db / 20 + 1 : 0;
      return { amplitude: expSigmoid(heads[0] + lift), shares: heads.subarray(1, 1 + n).map(expSigmoid),
               bands: heads.subarray(1 + n).map((x) => expSigmoid(x - 5 + lift)) };
    }
  }

  // --- sound: harmonics and filtered noise, straight lines from frame to frame --------------------------
  // A line can be drawn once its end is known, and the noise filters are centred: the sound comes a
  // frame and half a filter late.
  class Stream {
    constructor({ fs, settings, weights }) {
      const { hop, bands, n_harmonics: harmonics } = settings, taps = 2 * (bands - 1);
      Object.assign(this, { fs, hop, harmonics, lag: taps / 2, net: new Network({ settings, weights }) });
      this.narrow = new DSP.RealFFT(taps);
      this.wide = new DSP.RealFFT(2 ** Math.ceil(Math.log2(hop + taps)));
      this.window = Float64Array.from({ length: taps }, (_, i) => 0.5 + 0.5 * Math.cos(2 * Math.PI * i / taps));
      this.forget();
    }
    forget() {
      this.net.forget();
      Object.assign(this, { last: null, before: null, phase: 0 });
      this.tone = new Float64Array(this.lag + this.hop);
      this.hiss = new Float64Array(2 * this.lag + this.hop);
    }

    // A harmonic sounds if it is below half the rate now, in the frame before and in the one to come.
    controls(f0, db, who, following = f0) {
      const { amplitude, shares, bands } = this.net.step(f0, db, who), before = this.before ?? f0;
      const high = Math.max(before, f0, following), low = Math.min(before, f0, following);
      const levels = shares.map((x, k) => (low > 0 && (k + 1) * high < this.fs / 2 ? x : 0));
      const sum = levels.reduce((all, x) => all + x, 1e-8);
      this.before = f0;
      return { f0, levels: levels.map((x) => amplitude * x / sum), bands };
    }
    rest() { return { f0: this.before ?? 0, levels: new Float64Array(this.harmonics), bands: new Float64Array(this.lag + 1) }; }

    // The sound from the last frame to the next; `noise` and `out` are one hop long.
    push(next, noise, out) {
      const { hop, lag, tone, hiss, last } = this;
      this.last = next;
      if (!last) { out.fill(0); return; }
      this.sing(last, next, tone.subarray(lag));
      this.blow(last.bands, noise, hiss);
      for (let i = 0; i < hop; i++) out[i] = tone[i] + hiss[i];
      tone.copyWithin(0, hop);
      hiss.copyWithin(0, hop).fill(0, 2 * lag);
    }

    sing(last, next, out) {  // Σ level · sin kφ, by Clenshaw's recurrence
      const { hop, fs } = this, from = last.levels, way = next.levels.map((x, k) => x - from[k]);
      let top = from.length;
      while (top && !from[top - 1] && !way[top - 1]) top--;
      for (let i = 0; i < hop; i++) {
        const u = i / hop, angle = 2 * Math.PI * this.phase, turn = 2 * Math.cos(angle);
        let y = 0, older = 0;
        for (let k = top - 1; k >= 0; k--) {
          const now = from[k] + u * way[k] + turn * y - older;
          older = y;
          y = now;
        }
        out[i] = y * Math.sin(angle);
        this.phase = (this.phase + (last.f0 + u * (next.f0 - last.f0)) / fs) % 1;
      }
    }

    blow(bands, noise, out) {  // adds a frame of noise, through a filter that is as loud as its bands say
      const { narrow, wide, window, lag, hop } = this, { n } = wide, bins = n / 2 + 1;
      const spectrum = () => [new Float64Array(bins), new Float64Array(bins)];
      const ir = new Float64Array(2 * lag), x = new Float64Array(n), [gain, none] = spectrum(), [re, im] = spectrum();
      narrow.inverse(bands, new Float64Array(lag + 1), ir);
      for (let i = 0; i < 2 * lag; i++) x[i < lag ? i : n - 2 * lag + i] = window[i] * ir[i];
      wide.forward(x, gain, none);
      x.fill(0).set(noise);
      wide.forward(x, re, im);
      for (let k = 0; k < bins; k++) { re[k] *= gain[k]; im[k] *= gain[k]; }
      wide.inverse(re, im, x);
      for (let i = -lag; i < hop + lag; i++) out[i + lag] += x[(i + n) % n];
    }
  }

  const roomOf = ({ weights, room_scale: scale }) => new DSP.Convolver([0, ...(weights['reverb.room'] || [])].map((x) => scale * x));

  // Whole curves at once, as DDSPDecoder.forward: what the tests compare, and what is saved.
  const renderDecoder = (values, f0, db, who, noise, wet = 1) => {
    const stream = new Stream(values), { hop, lag } = stream, n = f0.length, none = new Float64Array(hop);
    const more = n + 1 + Math.ceil(lag / hop), all = new Float64Array(more * hop), block = new Float64Array(hop);
    for (let i = 0, c; i < more; i++) {
      if (i < n) c = stream.controls(f0[i], db[i], who, f0[i + 1]); else if (i > n) c = stream.rest();
      const heard = i && i <= n ? noise.subarray((i - 1) * hop, i * hop) : none;
      stream.push(c, heard, block);
      if (i) all.set(block, (i - 1) * hop);
    }
    const dry = all.slice(lag, lag + n * hop), room = roomOf(values);
    return wet ? dry.map((x) => x + wet * room.tick(x)) : dry;
  };

  // --- live: keys, or curves ------------------------------------------------------------------------------
  // One voice. The newest key leads; keys that are tied to it glide. A key's velocity is a loudness
  // between the softest and the loudest that the instrument was heard to play.
  const SILENT = -90;  // dB
  class DecoderSynth {
    constructor({ values }, fs) {
      const { settings: { hop }, played } = values;
      Object.assign(this, { values, played, fs, perSecond: fs / hop, keys: [], curve: null, db: SILENT, n: 0, age: 0 });
      this.knobs = { who: 0, loudness: 0, attack: 0.06, release: 0.25, glide: 0.05, vibrato: 0, speed: 5.5, room: 1, loop: 0 };
      this.stream = new Stream(values);
      this.room = roomOf(values);
      this.wet = 1;
      this.limiter = new DSP.Limiter(fs);
      this.block = new Float64Array(hop);
      this.noise = new Float64Array(hop);
      this.at = hop;
      this.ring = (values.weights['reverb.room'] || []).length + 4 * hop;
      this.quiet = this.ring;  // samples since the last frame that was not silence
    }

    set(name, value) { if (name in this.knobs && Number.isFinite(value)) this.knobs[name] = value; }

    noteOn(id, hz, velocity = 0.8) {
      if (!(hz > 0 && hz < this.fs / 2 && velocity >= 0)) return;
      const goal = 69 + 12 * Math.log2(hz / 440), tied = this.keys.length || this.curve;
      this.keys = this.keys.filter((key) => key.id !== id);
      this.keys.push({ id, goal, velocity: Math.min(1, velocity) });
      this.curve = null;
      if (!tied) { this.midi = goal; this.age = 0; }
    }
    noteOff(id) {
      this.keys = this.keys.filter((key) => key.id !== id);
      if (id === 'curve') this.curve = null;
    }
    allNotesOff() { this.keys = []; this.curve = null; }

    // f0 (Hz) and loudness (dB), one value for each frame; sent again while they sound, they go on from there.
    perform(f0, db, again = false) {
      if (again && !this.curve || !f0.length || f0.length !== db.length) return;
      this.keys = [];
      this.curve = { f0, db, at: again && this.curve.at < f0.length ? this.curve.at : 0 };
    }

    process(out) {
      if (this.asleep) { out.fill(0); return; }
      const { hop } = this.stream, near = 1 - Math.exp(-1 / (0.02 * this.fs));
      for (let i = 0; i < out.length; i++) {
        if (this.at === hop) { this.frame(); this.at = 0; }
        const x = this.block[this.at++];
        this.wet += near * (this.knobs.room - this.wet);
        out[i] = this.limiter.tick(x + this.wet * this.room.tick(x));
      }
    }
    get idle() { return !this.keys.length && !this.curve && this.db <= SILENT; }
    get asleep() { return this.idle && this.quiet >= this.ring; }

    frame() {
      const { stream, noise, knobs } = this, { hop } = stream;
      if (this.quiet >= this.ring) stream.forget();
      this.quiet = this.idle ? this.quiet + hop : 0;
      for (let i = 0; i < hop; i++) noise[i] = DSP.noise(this.n + i, 0);
      this.n += hop;
      if (this.idle) { stream.push(stream.rest(), noise, this.block); return; }
      const held = this.keys.length || this.curve, [f0, following] = this.curve ? this.read() : this.play();
      const fine = (x) => (x > 0 && x < this.fs / 2 ? x : 0);
      const now = stream.controls(fine(f0), Math.min(20, this.db + knobs.loudness), knobs.who, fine(following));
      const fade = held ? 1 : Math.max(0, Math.min(1, (this.db - SILENT) / 20));
      if (fade < 1) for (const part of [now.levels, now.bands]) part.forEach((x, k) => { part[k] = fade * x; });
      stream.push(now, noise, this.block);
    }

    read() {  // the next frame of the curves, and the pitch after it
      const { curve } = this, { f0, db } = curve, i = curve.at, after = i + 1 < f0.length ? i + 1 : this.knobs.loop ? 0 : i;
      this.db = db[i] > SILENT ? Math.min(20, db[i]) : SILENT;
      if (f0[i] > 0) this.midi = 69 + 12 * Math.log2(f0[i] / 440);
      curve.at = after;
      if (after === i) this.curve = null;
      return [f0[i], f0[after]];
    }

    play() {  // what a key does: loudness rises and falls in straight lines of dB, pitch glides
      const { keys, knobs, perSecond } = this, key = keys[keys.length - 1], frames = (s) => Math.max(1, s * perSecond);
      if (key) {
        const [low, , high] = this.played[knobs.who].loudness_db, goal = low + key.velocity * (high - low);
        const step = 40 / frames(knobs.attack);
        this.db = this.db < goal ? Math.min(goal, Math.max(this.db, goal - 40) + step) : Math.max(goal, this.db - step);
      } else this.db -= 60 / frames(knobs.release);
      const keep = knobs.glide > 0 ? Math.exp(-1 / frames(knobs.glide / 3)) : 0, goal = key ? key.goal : this.midi;
      const sway = (s) => knobs.vibrato / 100 * Math.max(0, Math.min(1, (s - 0.15) / 0.4)) * Math.sin(2 * Math.PI * knobs.speed * s);
      const hz = (midi, age) => 440 * 2 ** ((midi + sway(age / perSecond) - 69) / 12);
      this.midi = goal + keep * (this.midi - goal);
      this.age++;
      return [hz(this.midi, this.age), hz(goal + keep * (this.midi - goal), this.age + 1)];
    }
  }

  return { renderDecoder, DecoderSynth, synths: { ...DSP.synths, decoder: DecoderSynth } };
}

Object.assign(DSP, makeDecoder(DSP));
