// A knob of a panel is a native slider, so that it has the keyboard and the screen reader for free.
// {name, label, low, high, default, curve, text(value), set(value)}: a slider between low and high.
// With `typed`, its value is also a field to type an exact one into; with `snap`, it comes to rest there;
// `spoken` is a label that needs nothing around it.
const FADER = Math.log(1000);  // 60 dB, as the logarithm of an amplitude
const stairs = [
  (u, low, high) => low + Math.min(Math.floor(u * (high - low + 1)), high - low),
  (x, low, high) => (x - low + 0.5) / (high - low + 1),
];
const CURVES = {  // position → value, value → position; as in ddsp_book.knobs, and one more
  linear: [(u, low, high) => low + (high - low) * u, (x, low, high) => (x - low) / (high - low)],
  square: [(u, low, high) => low + (high - low) * u * u, (x, low, high) => Math.sqrt((x - low) / (high - low))],  // fine near zero
  log: [(u, low, high) => low * (high / low) ** u, (x, low, high) => Math.log(x / low) / Math.log(high / low)],
  db: [(u, low, high) => low + (high - low) * Math.expm1(FADER * u) / Math.expm1(FADER),
    (x, low, high) => Math.log1p((x - low) / (high - low) * Math.expm1(FADER)) / FADER],
  integer: stairs,
  choice: stairs,
};
class Knob {
  constructor(spec, onchange) {
    Object.assign(this, { step: 0.005, curve: 'linear', snap: (v) => v, onchange }, spec);
    [this.turn, this.position] = CURVES[this.curve];
    this.input = h('input', { type: 'range', min: 0, max: 1, step: this.step, 'aria-label': spec.spoken || spec.label, 'data-name': spec.name });
    this.input.oninput = () => this.take(clamp(this.snap(this.turn(+this.input.value, this.low, this.high)), this.low, this.high), false);
    this.readout = this.typed
      ? h('input.exact', { type: 'text', inputmode: 'decimal', 'aria-label': `${spec.spoken || spec.label}, exactly`, onchange: () => this.read() })
      : h('output', { 'aria-hidden': 'true' });  // the slider says it
    this.node = h('div.knob', { title: spec.about }, h('span', { 'aria-hidden': 'true' }, spec.label), this.readout, this.input);
    this.reset();
  }
  take(value, move = true) {
    this.value = value;
    this.say(move);
    this.onchange(this);
  }
  read() {  // what was typed, with or without its unit; a comma is a point
    const value = parseFloat(this.readout.value.replace(',', '.').replace(/[^\d.e+−-]/g, '').replace('−', '-'));
    if (Number.isFinite(value)) this.take(clamp(value, this.low, this.high)); else this.say();
  }
  reset(value = this.default) {
    this.value = value;
    this.say();
  }
  say(move = true) {
    const text = this.text(this.value), u = this.position(this.value, this.low, this.high);
    if (move) this.input.value = u;
    if (this.typed) this.readout.value = this.readout.defaultValue = text; else this.readout.textContent = text;
    this.input.setAttribute('aria-valuetext', text);
    this.input.style.setProperty('--u', u);
  }
}

// A few ways to choose from: native radio buttons, in a row. {name, label, low, choices, about, set(value)}
class Choice {
  constructor(spec) {
    Object.assign(this, spec);
    this.radios = spec.choices.map((text, i) => h('input', {
      type: 'radio', name: spec.name, onchange: () => { this.value = spec.low + i; this.set(this.value); },
    }));
    this.node = h('div.segments', { role: 'radiogroup', 'aria-label': spec.label, title: spec.about },
      ...this.radios.map((radio, i) => h('label', {}, radio, h('span', {}, spec.choices[i]))));
  }
  reset(value) {
    this.value = value;
    this.radios.forEach((radio, i) => { radio.checked = this.low + i === value; });
  }
}

const percent = (v) => `${Math.round(100 * v)} %`;
const time = (v) => (v < 1 ? `${Math.round(1000 * v)} ms` : `${v.toFixed(1)} s`);
const hertz = (v) => `${+v.toPrecision(v < 1000 ? 4 : 5)} Hz`;
