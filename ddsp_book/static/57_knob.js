// A knob of a panel is a native slider, so that it has the keyboard and the screen reader for free.
// {name, label, low, high, default, curve, text(value), set(value)}: a slider between low and high.
const CURVES = {
  linear: [(u) => u, (x) => x],
  square: [(u) => u * u, Math.sqrt],  // fine steps near zero: for times
};
class Knob {
  constructor(spec, onchange) {
    Object.assign(this, spec);
    this.curve = CURVES[spec.curve || 'linear'];
    this.readout = h('output', {});
    this.input = h('input', { type: 'range', min: 0, max: 1, step: 0.005, 'aria-label': spec.label, 'data-name': spec.name });
    this.input.oninput = () => {
      this.value = this.low + (this.high - this.low) * this.curve[0](+this.input.value);
      this.say();
      onchange(this);
    };
    this.node = h('label.knob', {}, h('span', {}, spec.label), this.readout, this.input);
    this.reset();
  }
  reset() {
    this.value = this.default;
    this.input.value = this.curve[1]((this.value - this.low) / (this.high - this.low));
    this.say();
  }
  say() {
    const text = this.text(this.value);
    this.readout.textContent = text;
    this.input.setAttribute('aria-valuetext', text);
    this.input.style.setProperty('--u', this.input.value);
  }
}
const percent = (v) => `${Math.round(100 * v)} %`;
const time = (v) => (v < 1 ? `${Math.round(1000 * v)} ms` : `${v.toFixed(1)} s`);
