// What instruments share whose knobs are described by a Python panel (see 61_panels.js): the faces of
// the knobs, pictures of envelopes, and a patch whose values are turned one by one.

const WORDS = {
  ratio: 'Ratio', fixed_hz: 'Pitch', detune_cents: 'Detune', level: 'Level', attack_s: 'Attack', decay_s: 'Decay',
  sustain: 'Sustain', release_s: 'Release', feedback: 'Feedback', curve: 'Bend of envelopes',
};
const signed = (v, digits) => v.toFixed(digits).replace('-', '−');
const READ = {
  ratio: (v) => `× ${v.toFixed(v < 1 ? 3 : 2)}`, detune_cents: (v) => `${signed(v, 1)} ct`, curve: (v) => signed(v, 1),
};
const READ_UNIT = { Hz: hertz, s: time, '': percent };
const SNAP = {  // the ear knows the simple ratios
  ratio: (v) => { const near = Math.round(2 * v) / 2; return near && Math.abs(v / near - 1) < 0.018 ? near : +v.toFixed(3); },
};

// An envelope in 100 × 26. Short times get more room than their share. `axis` is the span that fills it.
const HELD = 0.25;
const envelopeSpan = ([attackS, decayS, , releaseS]) => Math.sqrt(attackS) + Math.sqrt(decayS) + Math.sqrt(releaseS);
function envelopePath([attackS, decayS, sustain, releaseS, curve], axis) {
  const scale = 100 / (axis * (1 + HELD)), points = [[0, 0]];
  let x = 0;
  const segment = (s, from, to) => {
    const wide = scale * Math.sqrt(s);
    for (let k = 1; k <= 12; k++) points.push([x + wide * k / 12, from + (to - from) * DSP.bend((k / 12) ** 2, curve)]);
    x += wide;
  };
  segment(attackS, 0, 1);
  segment(decayS, 1, sustain);
  x += scale * axis * HELD;
  points.push([x, sustain]);
  segment(releaseS, sustain, 0);
  return points.map(([px, level], k) => `${k ? 'L' : 'M'}${px.toFixed(1)} ${(25 - 24 * level).toFixed(1)}`).join('');
}

class PanelInstrument extends Instrument {
  // How the knob `name` looks and what it does; `extra` says what is different here.
  knobOf(name, extra = {}) {
    const spec = PANELS[this.constructor.synth].knobs.find((k) => k.name === name);
    return { ...spec, default: spec.low, label: WORDS[name], text: READ[name] || READ_UNIT[spec.unit], snap: SNAP[name] || ((v) => v),
      set: (v) => this.turn(name, v), ...extra };
  }
  fresh(spec) { return new Knob(spec, (k) => { k.set(k.value); this.draw(); }); }

  // One knob moved: remember it, let it sound, show it.
  turn(name, value, i) {
    if (i === undefined) this.values[name] = value; else this.values[name][i] = value;
    if (this.engine) this.engine.call('set', name, value, i);
    this.show();
    this.draw();
  }

  resetFace() {
    this.values = JSON.parse(JSON.stringify(this.patch.values));
    this.show();
  }
  configure(call) { for (const name in this.values) call('set', name, this.values[name]); }
  bake() { return this.values; }
}
