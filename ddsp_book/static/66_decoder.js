// <ddsp-decoder>: instruments that were learned from recordings, played by keys or by curves that one draws.

// 16-bit floats in base64, one array after the other → {name: Float32Array}.
function unpackWeights({ half, shapes }) {
  const bytes = Uint8Array.from(atob(half), (c) => c.charCodeAt(0)), weights = {};
  const numbers = Float32Array.from(new Uint16Array(bytes.buffer), (x) => {
    const power = (x >> 10) & 31, part = x & 1023;
    return (x & 0x8000 ? -1 : 1) * (power ? 2 ** (power - 25) * (1024 + part) : 2 ** -24 * part);
  });
  let from = 0;
  for (const name in shapes) weights[name] = numbers.subarray(from, from += shapes[name].reduce((a, b) => a * b, 1));
  return weights;
}

class Decoder extends Instrument {
  load(text) {
    this.who = 0;
    super.load(text);
    const { values } = this.patch;
    values.weights = unpackWeights(values);
    delete values.half;
    this.hopS = values.settings.hop / values.fs;
    [this.chosen] = values.curves;
  }

  get played() { return this.patch.values.played[this.who]; }
  rest() { return Math.round(this.played.midi[1]); }

  knobs() {
    const knob = (name, label, low, high, start, text, curve) => ({ name, label, low, high, default: start, text, curve, set: (v) => this.tell(name, v) });
    return [
      knob('loudness', 'Loudness', -20, 10, 0, (v) => `${signed(v, 1)} dB`, 'linear'), knob('attack', 'Attack', 0.01, 1, 0.06, time, 'log'),
      knob('release', 'Release', 0.05, 2, 0.25, time, 'log'), knob('glide', 'Glide', 0, 0.5, 0.05, time, 'square'),
      knob('vibrato', 'Vibrato', 0, 100, 0, (v) => `${Math.round(v)} ct`, 'square'),
      { ...knob('speed', 'Its speed', 3, 9, 5.5, (v) => `${v.toFixed(1)} Hz`, 'linear'), spoken: 'Speed of the vibrato' },
      knob('room', 'Room', 0, 1, 1, percent, 'linear'),
    ];
  }

  face() { return this.front = h('div.face'); }

  furnish() {  // the face of this patch
    const { settings: { instruments }, curves } = this.patch.values, title = (name) => name.charAt(0).toUpperCase() + name.slice(1);
    this.players = new Choice({ name: 'who', label: 'Instrument', low: 0, choices: instruments.map(title), set: (i) => this.become(i) });
    this.players.node.hidden = instruments.length < 2;
    this.scores = h('select', { 'aria-label': 'Curves', onchange: (e) => this.choose(curves[e.target.value]) },
      ...curves.map(({ name }, i) => h('option', { value: i }, name)));
    this.button = h('button.play', { type: 'button', onclick: () => this.toggle() });
    this.again = h('button.toggle', { type: 'button', 'aria-label': 'Loop', title: 'Loop', onclick: () => this.loop(!this.looping) }, icon(ICON.loop));
    const heard = (i) => this.lanes[1].values[i] > this.lanes[1].low + 15, draw = () => this.redrawn();
    this.lanes = [
      new Lane(this, { label: 'Pitch curve', pull: 0.25, push: 1, heard, read: (v) => `${noteName(v)} ${signed(100 * (v - Math.round(v)), 0)} cents` }, draw),
      new Lane(this, { label: 'Loudness curve', pull: 1, push: 6, heard, read: (v) => `${signed(v, 0)} decibels` }, draw)];
    const drawing = h('div.curves', { hidden: !curves.length }, h('div.bar', {}, this.button, this.scores, this.again), ...this.lanes.map((lane) => lane.node));
    drawing.onkeydown = (e) => {
      if (e.target.className !== 'lane' || e.key !== ' ' && e.key !== 'Enter') return;
      e.preventDefault();
      this.toggle();
    };
    this.front.replaceChildren(this.players.node, drawing);
  }

  tools(button) {
    return [button('Reset', () => this.reset()), this.chosen ? button('Save curves as WAV', () => this.save()) : null];
  }

  resetFace() {
    if (this.shown !== this.patch) this.furnish();
    this.shown = this.patch;
    this.who = 0;
    this.players.reset(0);
    this.loop(false);
    this.begin();
  }
  configure(call) {
    for (const k of this.controls) if (k.name !== 'volume') call('set', k.name, k.value);
    call('set', 'who', this.who);
    call('set', 'loop', +this.looping);
  }
  tell(name, value) { if (this.engine) this.engine.call('set', name, value); }

  // --- instruments and their curves
  become(i) {
    const from = this.played.loudness_db;
    this.who = i;
    const to = this.played.loudness_db, [pitch, loudness] = this.lanes.map((lane) => lane.values);
    this.tell('who', i);
    this.midi = this.rest();
    this.piano.low = clamp(12 * Math.floor(this.midi / 12), 24, 96);
    this.piano.lay();
    if (!this.chosen) { this.draw(); return; }
    // As `aligned` does: by octaves to where it is at home, soft to soft, middle to middle, loud to loud.
    const up = 12 * Math.round((this.midi - this.middle()) / 12), [low, middle, high] = from;
    const moved = (db) => (db < low ? db - low + to[0] : db < middle ? to[0] + (db - low) / (middle - low) * (to[1] - to[0])
      : db < high ? to[1] + (db - middle) / (high - middle) * (to[2] - to[1]) : db - high + to[2]);
    this.look(pitch.map((m) => m + up), loudness.map(moved));
    this.redrawn();
  }

  choose(curve) {
    const { playing } = this;
    this.endCurves();
    this.chosen = curve;
    this.begin();
    if (playing) this.start();
  }

  begin() {
    if (!this.chosen) return;
    this.scores.selectedIndex = this.patch.values.curves.indexOf(this.chosen);
    const { f0_hz: hz, loudness_db: db } = this.chosen, { who } = this;
    this.who = 0;  // whose curves they are
    this.look(Float64Array.from(hz, noteOf), Float64Array.from(db));
    if (who) this.become(who); else this.redrawn();
    this.show();
  }

  // The pitch that the louder half of the curve lies around.
  middle() {
    const [pitch, loudness] = this.lanes.map((lane) => [...lane.values]), sorted = (x) => x.sort((a, b) => a - b);
    const half = sorted([...loudness])[loudness.length >> 1], loud = sorted(pitch.filter((_, i) => loudness[i] >= half));
    return loud[loud.length >> 1];
  }

  look(pitch, loudness) {
    const [low, , high] = this.played.loudness_db, bottom = Math.floor(low / 10) * 10 - 30, top = Math.ceil((high + 6) / 10) * 10;
    this.lanes[1].load(loudness, { low: bottom, high: top, lines: [-60, -40, -20, 0].filter((v) => v > bottom && v < top).map((v) => [v, `${signed(v, 0)} dB`]) });
    this.lanes[0].values = pitch;
    const centre = Math.round(this.middle()), far = 14;
    const notes = Array.from({ length: 2 * far + 1 }, (_, i) => centre - far + i).filter((m) => m % 12 === 0 || m % 12 === 7);
    this.lanes[0].load(pitch, { low: centre - far, high: centre + far, lines: notes.map((m) => [m, noteName(m)]) });
  }

  frames() { return [Float32Array.from(this.lanes[0].values, noteHz), Float32Array.from(this.lanes[1].values)]; }

  redrawn() {
    if (this.playing) this.engine.call('perform', ...this.frames(), true);
    this.draw();
  }

  // --- playing curves
  toggle() { if (this.playing) this.silence(); else this.start(); }

  start() {
    this.silence();
    this.wake();
    this.engine.call('perform', ...this.frames());
    this.playing = { from: this.engine.context.currentTime };
    this.show();
  }

  loop(on) {
    if (this.playing) this.playing.from = this.engine.context.currentTime - this.position();  // forget the laps
    this.looping = on;
    this.again.setAttribute('aria-pressed', on);
    this.tell('loop', +on);
  }

  position() {
    const { context, target } = this.engine, length = this.hopS * this.lanes[0].values.length;
    if (!target) this.playing.from = context.currentTime;
    const t = Math.max(0, context.currentTime - this.playing.from - (context.outputLatency || 0));
    return this.looping ? t % length : t;
  }

  show() {
    cancelAnimationFrame(this.ticking);
    const t = this.playing ? this.position() : 0, [pitch] = this.lanes, i = Math.floor(t / this.hopS);
    if (i >= pitch.values.length) this.playing = null;
    this.button.setAttribute('aria-label', this.playing ? 'Stop the curves' : 'Play the curves');
    this.button.replaceChildren(icon(this.playing ? ICON.pause : ICON.play));
    for (const lane of this.lanes) { lane.playhead = this.playing ? i : -1; lane.draw(); }
    if (!this.playing) return;
    this.midi = clamp(pitch.values[i], 0, 127);
    this.animate();
    this.ticking = requestAnimationFrame(() => this.show());
  }

  noteOn(id, midi, velocity) {
    if (this.playing) this.endCurves(false);
    super.noteOn(id, midi, velocity);
  }

  endCurves(tell = true) {
    if (!this.playing) return;
    this.playing = null;
    if (tell) this.engine.call('noteOff', 'curve');
    this.show();
  }

  silence() {
    super.silence();
    this.endCurves();
  }
  left() { super.silence(); }  // keys may be let go elsewhere; curves end by themselves
  computerKey(e, down) {
    if (down && e.key === 'Escape') this.silence(); else super.computerKey(e, down);
  }
  redraw() {
    super.redraw();
    if (this.lanes) this.lanes.forEach((lane) => lane.draw());
  }

  midiMessage(status, number, value) {  // the wheel, and the pedal for expression
    const name = (status & 0xf0) === 0xb0 && { 1: 'vibrato', 11: 'loudness' }[number], knob = name && this.controls.find((k) => k.name === name);
    if (knob) knob.take(knob.low + (knob.high - knob.low) * value / 127); else super.midiMessage(status, number, value);
  }

  // --- without the audio thread
  render([f0, db], who = this.who) {
    const { hop } = this.patch.values.settings, noise = Float64Array.from({ length: hop * f0.length }, (_, i) => DSP.noise(i, 0));
    const sound = DSP.renderDecoder(this.patch.values, f0, db.map((x) => Math.min(20, x + this.knob('loudness'))), who, noise, this.knob('room'));
    const limiter = new DSP.Limiter(this.rate);
    return sound.map((x) => limiter.tick(x) * this.knob('volume'));
  }

  save() { this.download(`${this.patch.values.settings.instruments[this.who] || 'curves'}.wav`, encodeWav(this.render(this.frames()), this.rate)); }

  sketch(n, f0) {  // a note that has settled
    const [low, , high] = this.played.loudness_db, key = [n, f0, this.who, ...['loudness', 'room', 'volume'].map((name) => this.knob(name))].join();
    if (this.sketched !== key) {
      const frames = Math.ceil(n / this.patch.values.settings.hop) + 50, held = (x) => new Float32Array(frames).fill(x);
      this.note = this.render([held(f0), held(low + 0.8 * (high - low))]).slice(-n);
      this.sketched = key;
    }
    return this.note;
  }
}
Decoder.synth = 'decoder';
define('ddsp-decoder', Decoder);
