// <ddsp-hybrid>: the synthesizer that was learned from one note. Its harmonics are bars to be drawn.

const FLOOR_DB = -72;

// One slider per harmonic (arrow keys), and all of them one surface to paint on (pointer).
class Bars {
  constructor(onchange) {
    this.onchange = onchange;
    this.node = h('div.bars', { role: 'group', 'aria-label': 'Harmonics' });
    const paintTo = (e) => {
      const box = this.node.getBoundingClientRect(), n = this.amps.length;
      const k = clamp(Math.floor((e.clientX - box.left) / box.width * n), 0, n - 1);
      const u = 1 - clamp((e.clientY - box.top) / box.height, 0, 1);
      const [k0, u0] = this.last || [k, u];
      for (let j = Math.min(k, k0); j <= Math.max(k, k0); j++) {  // a fast stroke leaves no gaps
        this.set(j, k === k0 ? u : u0 + (u - u0) * (j - k0) / (k - k0));
      }
      this.last = [k, u];
    };
    this.node.onpointerdown = (e) => {
      if (e.button) return;
      e.preventDefault();
      this.node.setPointerCapture(e.pointerId);
      this.down = true;
      this.last = null;
      paintTo(e);
      this.focus(this.last[0]);
    };
    this.node.onpointermove = (e) => { if (this.down) paintTo(e); };
    this.node.onpointerup = this.node.onpointercancel = () => { this.down = false; };
    this.node.onkeydown = (e) => {
      const k = this.sliders.indexOf(e.target), step = e.shiftKey ? 1 / 72 : 3 / 72;
      if (k < 0 || e.ctrlKey || e.metaKey || e.altKey) return;
      const act = {
        ArrowLeft: () => this.focus(k - 1), ArrowRight: () => this.focus(k + 1),
        ArrowUp: () => this.set(k, this.heights[k] + step), ArrowDown: () => this.set(k, this.heights[k] - step),
        Home: () => this.set(k, 0), End: () => this.set(k, 1),
        PageUp: () => this.set(k, this.heights[k] + 4 * step), PageDown: () => this.set(k, this.heights[k] - 4 * step),
      }[e.key];
      if (!act) return;
      e.preventDefault();
      e.stopPropagation();
      act();
    };
  }

  // Heights are decibels below the loudest learned harmonic: the scale on which the ear compares.
  load(amps) {
    this.learned = amps;
    this.amps = amps.slice();
    this.top = Math.max(1e-4, ...amps.map(Math.abs)) * 1.41;
    this.heights = [];
    this.sliders = amps.map((_, k) => h('div.harmonic', {
      role: 'slider', tabindex: k ? -1 : 0, 'aria-label': `Harmonic ${k + 1}`, 'aria-orientation': 'vertical',
      'aria-valuemin': FLOOR_DB, 'aria-valuemax': 0,
    }));
    this.node.replaceChildren(...this.sliders);
    amps.forEach((a, k) => {
      this.show(k, this.height(a));
      this.sliders[k].style.setProperty('--learned', this.heights[k]);
    });
  }

  height(amp) { return clamp(1 - 20 * Math.log10(Math.abs(amp) / this.top + 1e-9) / FLOOR_DB, 0, 1); }

  set(k, height) {
    height = clamp(height, 0, 1);
    const db = FLOOR_DB * (1 - height), sign = this.learned[k] < 0 ? -1 : 1;  // keeps its phase
    this.amps[k] = height ? sign * this.top * 10 ** (db / 20) : 0;
    this.show(k, height);
    this.onchange(k + 1, this.amps[k]);
  }

  show(k, height) {
    const text = height ? `${(FLOOR_DB * (1 - height)).toFixed(0).replace('-', '−')} dB` : 'silent';
    this.heights[k] = height;
    this.sliders[k].style.setProperty('--height', height);
    this.sliders[k].setAttribute('aria-valuenow', (FLOOR_DB * (1 - height)).toFixed(1));
    this.sliders[k].setAttribute('aria-valuetext', text);
    this.sliders[k].title = `Harmonic ${k + 1}: ${text}`;
  }

  focus(k) {
    k = clamp(k, 0, this.sliders.length - 1);
    this.sliders.forEach((bar, j) => { bar.tabIndex = j === k ? 0 : -1; });
    this.sliders[k].focus({ preventScroll: true });
  }
}

class Hybrid extends Instrument {
  knobs() {
    const tell = (method) => (v) => { if (this.engine) this.engine.call(method, v); };
    return [
      { name: 'noise', label: 'Noise', low: 0, high: 4, default: 1, curve: 'square', text: percent, set: tell('setNoise') },
      { name: 'reverb', label: 'Reverb', low: 0, high: 1, default: 1, text: percent, set: tell('setReverb') },
      { name: 'attack', label: 'Attack', low: 0, high: 2, default: 0.01, curve: 'square', text: time, set: tell('setAttack') },
      { name: 'release', label: 'Release', low: 0, high: 3, default: 0.12, curve: 'square', text: time, set: tell('setRelease') },
    ];
  }

  face() {
    this.bars = new Bars((k, amp) => {
      if (this.engine) this.engine.call('setHarmonic', k, amp);
      this.draw();
    });
    return h('div.face', {}, this.bars.node,
      h('div.scale', { 'aria-hidden': 'true' }, h('span', {}, 'Harmonic 1'), h('span', {}, 'drag to draw'), this.count = h('span', {})));
  }

  resetFace() {
    this.bars.load(this.patch.values.harmonic_amps);
    this.count.textContent = String(this.bars.amps.length);
  }

  configure(call) {
    this.bars.amps.forEach((amp, k) => call('setHarmonic', k + 1, amp));
    call('setNoise', this.knob('noise'));
    call('setReverb', this.knob('reverb'));
    call('setAttack', this.knob('attack'));
    call('setRelease', this.knob('release'));
  }

  tail() { return this.knob('release') + 1; }

  aim() {  // which harmonics this note leaves room for below half the sample rate
    const { fs } = this.patch.values, f0 = noteHz(this.midi);
    this.bars.sliders.forEach((bar, k) => bar.classList.toggle('beyond', (k + 1) * f0 >= fs / 2));
  }

  // The same sum as in HybridSynth: mix·wet + (1 − mix)·dry, as one impulse response.
  bake() {
    const { noise_fir, reverb_ir } = this.patch.values, mix = this.knob('reverb'), noise = this.knob('noise');
    const ir = reverb_ir.map((x) => mix * x);
    if (ir.length) ir[0] += (1 - mix) * Math.sqrt(reverb_ir.reduce((sum, x) => sum + x * x, 0));
    return { harmonic_amps: this.bars.amps.slice(), noise_fir: noise_fir.map((x) => noise * x), reverb_ir: ir };
  }

  sketch(n, f0) {  // past the onset of the reverb, where the note has settled
    const values = { ...this.patch.values, ...this.bake() }, skip = Math.min(values.reverb_ir.length, 2048);
    return DSP.renderHybrid({ values }, f0, n + skip).subarray(skip);
  }
}
Hybrid.synth = 'hybrid';
define('ddsp-hybrid', Hybrid);
