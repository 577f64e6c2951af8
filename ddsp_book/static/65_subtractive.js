// <ddsp-subtractive>: oscillators rich in harmonics, a filter that takes away, two envelopes.

Object.assign(WORDS, {
  saw: 'Saw', pulse: 'Pulse', triangle: 'Triangle', sine: 'Sine', noise: 'Noise', width: 'Pulse width', second: 'Oscillator 2',
  cutoff_hz: 'Cutoff', resonance: 'Resonance', key_tracking: 'Key tracking', sweep_octaves: 'Sweep',
  filter_attack_s: 'Attack', filter_decay_s: 'Decay', filter_sustain: 'Sustain', filter_release_s: 'Release',
});
Object.assign(READ, {
  resonance: (v) => v.toPrecision(2), sweep_octaves: (v) => `${signed(v, 1)} oct`, cutoff_hz: (v) => hertz(+v.toPrecision(3)),
});

// Gain over frequency in 100 × 60: 20 Hz to 20 kHz, TOP_DB down to BOTTOM_DB.
const TOP_DB = 18, BOTTOM_DB = -42, LOW_HZ = 20, DECADES = 3;
const across = (hz) => 100 * Math.log10(hz / LOW_HZ) / DECADES;
function responsePath(v, cutoffHz, fs) {
  const points = [], cutoff = clamp(cutoffHz, 20, 0.45 * fs);
  for (let px = 0; px <= 100; px += 0.5) {
    const hz = LOW_HZ * 10 ** (DECADES * px / 100), gain = DSP.filterGain(v.filter, cutoff, v.resonance, fs, hz);
    const db = 20 * Math.log10(gain / Math.sqrt(0.5 + v.resonance) + 1e-9);
    points.push(`${px} ${(TOP_DB - clamp(db, BOTTOM_DB - 5, TOP_DB)).toFixed(1)}`);
  }
  return `M${points.join('L')}`;
}

// Two cycles of what goes into the filter, in 100 × 26; without the second oscillator and the noise.
function wavePath(v) {
  const step = 0.005, loud = 12 / Math.max(1, v.saw + v.pulse + v.triangle + v.sine);
  return Array.from({ length: 401 }, (_, i) => {
    const p = 0.5 + i * step, saw = DSP.saw(p, step, 0), pulse = DSP.saw(p - v.width, step, 0) - saw;
    const y = v.saw * saw + v.pulse * pulse + v.triangle * DSP.triangle(p, step, 0) + v.sine * DSP.sine(p);
    return `${i ? 'L' : 'M'}${i / 4} ${(13 - loud * y).toFixed(2)}`;
  }).join('');
}

class Subtractive extends PanelInstrument {
  knobs() { return []; }

  face() {
    const knobs = (...names) => h('div.knobs', {}, ...names.map((name) => this.own[name].node));
    const section = (name, ...parts) => h('div.section', { role: 'group', 'aria-label': name }, h('b', {}, name), ...parts);
    const names = PANELS.subtractive.knobs.map((k) => k.name).filter((name) => name in WORDS);
    this.own = Object.fromEntries(names.map((name) => [name, this.fresh(this.knobOf(name, {
      typed: name === 'cutoff_hz', spoken: name.startsWith('filter_') ? `${WORDS[name]} of the filter` : undefined,
    }))]));
    const spec = this.knobOf('filter');
    this.kind = new Choice({ ...spec, label: 'Kind of filter', choices: spec.choices });
    return h('div.face.subtractive', {},
      section('Oscillators', this.picture('wave'), knobs('saw', 'pulse', 'triangle', 'sine', 'noise', 'width', 'second', 'detune_cents')),
      section('Filter', this.kind.node, this.response(),
        h('div.scale', { 'aria-hidden': 'true' }, h('span', {}, '20 Hz'), this.legend = h('span', {}), h('span', {}, '20 kHz')), knobs('cutoff_hz', 'resonance', 'key_tracking')),
      section('Filter envelope', this.picture('filter_'), knobs('sweep_octaves', 'filter_attack_s', 'filter_decay_s', 'filter_sustain', 'filter_release_s')),
      section('Loudness envelope', this.picture(''), knobs('curve', 'attack_s', 'decay_s', 'sustain', 'release_s')));
  }

  picture(name) {
    const line = svg('path', {});
    this.lines = { ...this.lines, [name]: line };
    return svg('svg', { class: 'envelope', viewBox: '0 0 100 26', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, line);
  }

  // The filter as a picture that can be dragged: sideways the cutoff, up and down the resonance.
  response() {
    this.curves = ['rest', 'swept'].map((name) => svg('path', { class: name }));
    this.grip = h('span.grip', {});
    this.plot = svg('svg', { viewBox: '0 0 100 60', preserveAspectRatio: 'none', role: 'img' },
      ...[100, 1000, 10000].map((hz) => svg('path', { class: 'grid', d: `M${across(hz)} 0V60` })), svg('path', { class: 'grid', d: `M0 ${TOP_DB}H100` }), ...this.curves);
    const node = h('div.response', { title: 'Drag: sideways the cutoff, up and down the resonance' }, this.plot, this.grip);
    const drag = (e) => {
      const box = node.getBoundingClientRect(), hz = LOW_HZ * 10 ** (DECADES * clamp((e.clientX - box.left) / box.width, 0, 1));
      const { cutoff_hz: cutoff, resonance } = this.own;
      cutoff.take(clamp(hz / this.lift(), cutoff.low, cutoff.high));
      resonance.take(resonance.turn(1 - clamp((e.clientY - box.top) / box.height, 0, 1), resonance.low, resonance.high));
    };
    node.onpointerdown = (e) => {
      if (e.button) return;
      node.setPointerCapture(e.pointerId);
      this.dragging = true;
      drag(e);
    };
    node.onpointermove = (e) => { if (this.dragging) drag(e); };
    node.onpointerup = node.onpointercancel = () => { this.dragging = false; };
    return node;
  }

  lift() { return (noteHz(this.midi) / DSP.MIDDLE_C) ** this.values.key_tracking; }  // what the key does to the cutoff

  show() {
    const v = this.values;
    for (const name in this.own) if (this.own[name].value !== v[name]) this.own[name].reset(v[name]);
    this.kind.reset(v.filter);
    const stages = (w) => [v[`${w}attack_s`], v[`${w}decay_s`], v[`${w}sustain`], v[`${w}release_s`], v.curve];
    const axis = Math.max(...['', 'filter_'].map((w) => envelopeSpan(stages(w))));  // both on one time axis
    for (const w of ['', 'filter_']) this.lines[w].setAttribute('d', envelopePath(stages(w), axis));
    this.lines.wave.setAttribute('d', wavePath(v));
    const cutoff = v.cutoff_hz * this.lift(), top = cutoff * 2 ** v.sweep_octaves, [rest, swept] = this.curves;
    rest.setAttribute('d', responsePath(v, cutoff, this.rate));
    swept.setAttribute('d', v.sweep_octaves ? responsePath(v, top, this.rate) : '');
    this.legend.textContent = v.sweep_octaves ? 'dashed: at the top of its envelope' : '';
    const { resonance: knob } = this.own;
    this.grip.style.left = `${clamp(across(cutoff), 0, 100)}%`;
    this.grip.style.top = `${100 * (1 - knob.position(v.resonance, knob.low, knob.high))}%`;
    this.plot.setAttribute('aria-label', `Response of the ${this.kind.choices[v.filter]} filter at ${hertz(Math.round(cutoff))}${v.sweep_octaves ? `, and at ${hertz(Math.round(top))}, where its envelope takes it` : ''}`);
  }

  aim() { if (this.values) this.show(); }

  tail() { return 0.1 + this.values.release_s; }

  sketch(n, f0) {  // once it has risen
    const skip = Math.round(this.rate * Math.min(1, 0.02 + this.values.attack_s)), out = new Float64Array(n + skip);
    new DSP.SubtractiveVoice(this.values, this.rate, f0).add(out, 0, n + skip);
    return out.subarray(skip);
  }
}
Subtractive.synth = 'subtractive';
define('ddsp-subtractive', Subtractive);
