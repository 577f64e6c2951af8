// <ddsp-fm2>: a carrier, a modulator, an index; and over the live spectrum the lines that theory predicts.

// Jₖ(x) = mean of cos(kτ − x sin τ) over a turn. The trapezoid rule is exact here up to rounding, once it
// has more points than the integrand has harmonics.
function bessel(k, x) {
  const n = 2 * Math.ceil(Math.abs(k) + Math.abs(x) + 30);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.cos(k * 2 * Math.PI * i / n - x * Math.sin(2 * Math.PI * i / n));
  return sum / n;
}

// The lines of sin(2π f_car t + I sin 2π f_mod t), sampled at fs: {hz, amp, k}, from the lowest up. Line k
// stands at f_car + k f_mod; below 0 and above fs/2 it folds back with its sign turned, and lines that
// meet add up (k is then that of the strongest). An operator that reaches fs/2 is silent.
function sidebands(fCar, fMod, I, fs) {
  if (fCar >= fs / 2) return [];
  if (fMod >= fs / 2) I = 0;
  const lines = [], most = Math.ceil(I + 4 * Math.cbrt(I) + 6);
  for (let k = -most; k <= most; k++) {
    let hz = ((fCar + k * fMod) % fs + fs) % fs, amp = bessel(Math.abs(k), I) * (k < 0 && k % 2 ? -1 : 1);
    if (hz > fs / 2) { hz = fs - hz; amp = -amp; }
    const same = lines.find((line) => Math.abs(line.hz - hz) < 1e-6 * fs);
    if (!same) lines.push({ hz, amp, k, part: Math.abs(amp) });
    else {
      same.amp += amp;
      if (Math.abs(amp) > same.part) Object.assign(same, { k, part: Math.abs(amp) });
    }
  }
  return lines.filter((line) => line.hz > 1e-6 * fs && Math.abs(line.amp) > 1e-5).sort((a, b) => a.hz - b.hz);
}

class SidebandScopes extends Scopes {
  constructor(host, n) {
    super(host, n);
    this.head = 18;
  }

  axis(w, fs) {  // linear, since the lines are equally far apart; as wide as the sound
    const { car, mod, I } = this.host.tones();
    const need = Math.min(fs / 2, car + 1.4 * (I + 2) * mod), step = niceStep(need / 5), top = Math.min(fs / 2, step * Math.ceil(need / step));
    return {
      ticks: Array.from({ length: Math.floor(top / step - 1e-6) }, (_, i) => (i + 1) * step).filter((hz) => hz < 0.97 * top),
      place: (hz) => w * hz / top, hz: (px) => Math.max(0, px) * top / w, top,
    };
  }

  drawSpectrum(g, w, height, x, fs, alpha, colours) {
    const { car, mod, I, gain } = this.host.tones(), { place, top } = this.axis(w, fs), base = height - FOOT, { head } = this;
    const reach = I && (I + 1) * mod, from = place(Math.max(0, car - reach)), to = place(Math.min(top, car + reach));
    g.fillStyle = colours.ink;  // Carson's band
    g.globalAlpha = 0.05;
    g.fillRect(from, 0, to - from, base);
    super.drawSpectrum(g, w, height, x, fs, alpha, colours);
    g.globalAlpha = 1;
    g.strokeStyle = g.fillStyle = colours.warm;
    g.lineWidth = 1.5;
    g.textAlign = 'center';
    const room = place(mod) > 20;  // for a name above each line, in ink, since small orange letters are faint
    for (const { hz, amp, k } of sidebands(car, mod, I, fs)) {
      const level = 20 * Math.log10(Math.abs(amp) * gain) / FLOOR, px = place(hz), y = head + (base - head) * Math.max(0, level);
      if (level >= 1 || hz > top) continue;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(px, base);
      g.lineTo(px, y);
      g.stroke();
      g.globalAlpha = 1;
      g.beginPath();
      g.arc(px, y, 3, 0, 7);
      g.fill();
      g.fillStyle = colours.ink;
      if (room) g.fillText(k ? `${k < 0 ? '−' : '+'}${Math.abs(k)}` : 'car', clamp(px, 10, w - 10), y - 6);
      g.fillStyle = colours.warm;
    }
  }
}

class FM2 extends Instrument {
  knobs() {
    const turn = (name) => (v) => this.turn(name, v);
    const typed = { typed: true, step: 0.001 };
    return [
      { name: 'f_car', label: 'Carrier', low: 20, high: 10000, default: 440, curve: 'log', text: hertz, set: turn('f_car'), ...typed },
      { name: 'f_mod', label: 'Modulator', low: 0.1, high: 10000, default: 110, curve: 'log', text: hertz, set: turn('f_mod'), ...typed },
      { name: 'I', label: 'Index', low: 0, high: 25, default: 2, curve: 'square', text: (v) => v.toFixed(2), set: turn('I'), ...typed },
    ];
  }

  rest() { return noteOf(this.patch.values.f_car); }

  face() {
    this.holdButton = h('button.play', { type: 'button', onclick: () => this.hold() });
    this.words = h('p.words', {});
    this.showHold();
    return h('div.face.tones', {}, this.holdButton, this.words);
  }

  resetFace() {
    this.values = { ...this.patch.values };
    if (!this.held.size) this.scale = 1;  // from the knobs to what a key sounds
    this.midi = noteOf(this.scale * this.values.f_car);
    this.tell();
  }

  turn(name, value) {
    this.values[name] = value;
    if (this.engine) this.engine.call('set', name, value);
    if (!this.held.size) this.scale = 1;
    this.midi = noteOf(this.scale * this.values.f_car);
    if (this.held.size) this.name(this.midi);
    this.tell();
  }

  // What sounds last: the knobs as they stand, or moved to a key with their ratio kept.
  tones() {
    const { scale, values: { f_car, f_mod, I } } = this, mod = scale * f_mod;
    const gain = this.running ? this.loudness * this.knob('volume') : 1;
    return { car: scale * f_car, mod, I: mod < this.rate / 2 ? I : 0, gain };
  }

  tell() {
    const { car, mod, I } = this.tones(), half = this.rate / 2, beyond = `above ${hertz(half)}, half the sample rate: silent.`;
    const says = car >= half ? ['', `A carrier of ${hertz(car)} lies ${beyond}`]
      : mod >= half ? [`One line at ${hertz(car)}. `, `The modulator, at ${hertz(mod)}, lies ${beyond}`]
        : I === 0 ? [`One line at ${hertz(car)}. `, 'At index 0 the modulator moves nothing.']
          : [`Lines at ${hertz(car)} ± k · ${hertz(mod)}, `,
            `ratio ${+(mod / car).toPrecision(3)}. Nearly all of the power lies in a band of ${hertz(2 * (I + 1) * mod)} (Carson), shaded.`];
    this.words.replaceChildren(says[0], h('span.note', {}, says[1]));
  }

  aim() { if (this.values) this.tell(); }

  drawSound(x, alpha) {  // wide enough for a turn of the slower one
    const { car, mod } = this.tones();
    this.scopes.draw(x, this.rate, Math.max(1 / car, Math.min(0.5 / mod, 4 / car)), alpha);
  }

  hold() {
    if (this.held.has('hold')) this.noteOff('hold');
    else this.noteOn('hold', noteOf(this.values.f_car), 0.8);
  }
  stays(id) { return id === 'hold' || super.stays(id); }
  noteOn(id, midi, velocity = 0.8) {
    this.loudness = velocity;
    this.scale = noteHz(midi) / this.values.f_car;
    super.noteOn(id, midi, velocity);
    this.showHold();
  }
  noteOff(id) {
    super.noteOff(id);
    this.showHold();
  }
  showHold() {
    const on = this.held.has('hold'), says = on ? 'Stop the tone' : 'Hold the tone';
    this.holdButton.setAttribute('aria-label', says);
    this.holdButton.title = says;
    this.holdButton.replaceChildren(icon(on ? ICON.pause : ICON.play));
  }

  configure(call) { for (const name of ['f_car', 'f_mod', 'I']) call('set', name, this.values[name]); }
  bake() { return this.values; }
  tail() { return 0.1; }

  sketch(n, f0) {
    const out = new Float64Array(n);
    new DSP.FM2Voice(this.values, this.rate, f0).add(out, 0, n);
    return out;
  }
}
FM2.synth = 'fm2';
FM2.Scopes = SidebandScopes;
define('ddsp-fm2', FM2);
