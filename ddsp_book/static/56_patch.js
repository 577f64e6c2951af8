// A patch file may come from anywhere: everything in it is checked before it sounds, and an error says
// in words what is wrong.

function readPatch(text, synth) {
  const fail = (message) => { throw new Error(message); };
  let patch;
  try { patch = JSON.parse(text); } catch (error) { fail('This file is not JSON.'); }
  if (!patch || patch.format !== 'ddsp_book.patch') fail('This is not a patch of this book (format: expected "ddsp_book.patch").');
  if (patch.version !== 1) fail(`version: expected 1, found ${JSON.stringify(patch.version)}.`);
  if (patch.synth !== synth) fail(`synth: this panel plays "${synth}", the patch is for ${JSON.stringify(patch.synth)}.`);
  if (!patch.values || typeof patch.values !== 'object') fail('values: missing.');
  const number = (owner, name, low, high) => {
    const x = owner[name];
    if (!(typeof x === 'number' && x >= low && x <= high)) fail(`${name}: expected a number from ${low} to ${high}, found ${JSON.stringify(x)}.`);
  };
  const list = (owner, name, low, high, most, length) => {
    const x = owner[name];
    if (!Array.isArray(x) || x.length > most || (length !== undefined && x.length !== length)) {
      fail(`${name}: expected ${length === undefined ? `up to ${most}` : length} numbers, found ${Array.isArray(x) ? x.length : JSON.stringify(x)}.`);
    }
    const bad = x.findIndex((e) => !(typeof e === 'number' && e >= low && e <= high));
    if (bad >= 0) fail(`${name}: number ${bad + 1} is ${JSON.stringify(x[bad])}.`);
  };
  PATCH_CHECKS[synth](patch, number, list, fail);
  return patch;
}

function asThePanelSays({ synth, values: v }, number, list, fail) {
  const { knobs } = PANELS[synth];
  for (const name in v) if (!knobs.some((k) => k.name === name)) fail(`${name}: this synth has no such knob.`);
  for (const { name, low, high, size, curve } of knobs) {
    if (size === 1) number(v, name, low, high); else list(v, name, low, high, size, size);
    if (curve === 'choice' && [v[name]].flat().some((x) => x % 1)) fail(`${name}: expected a whole number, found ${JSON.stringify(v[name])}.`);
  }
}

const PATCH_CHECKS = {
  hybrid({ values: v, performance: p }, number, list) {
    number(v, 'fs', 8000, 96000);
    number(v, 'f0_hz', 1, v.fs / 2);
    number(v, 'noise_seed', 0, 2 ** 32 - 1);
    number(v, 'N', 1, 600 * v.fs);
    list(v, 'harmonic_amps', -1e3, 1e3, 512, v.K_harm);
    list(v, 'noise_fir', -1e3, 1e3, 8192, v.M_noise);
    list(v, 'reverb_ir', -1e3, 1e3, 10 * v.fs, v.L_reverb);
    if (!p) return;
    number(p, 'every', 1, v.N);
    list(p, 'f0_hz', 1, v.fs / 2, 1e5);
    list(p, 'gain', -1e3, 1e3, 1e5);
  },
  fm2({ values: v }, number) {
    number(v, 'f_car', 20, 10000);
    number(v, 'f_mod', 0.1, 10000);
    number(v, 'I', 0, 25);
  },
  decoder({ values: v }, number, list) {
    number(v, 'fs', 8000, 96000);
    number(v.settings, 'hop', 1, v.fs);
    for (const curve of v.curves) for (const name of ['f0_hz', 'loudness_db']) list(curve, name, -200, v.fs / 2, 1e5, curve.f0_hz.length);
  },
  fm6: asThePanelSays,
  subtractive: asThePanelSays,
};
