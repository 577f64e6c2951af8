// The panel that every synthesizer of this book shares: keyboard, knobs, scope and spectrum, patch
// files, a recording. A synth adds its knobs and whatever else it wants to show (62_hybrid.js).

const NOTE = ['C', 'C♯', 'D', 'D♯', 'E', 'F', 'F♯', 'G', 'G♯', 'A', 'A♯', 'B'];
const noteName = (midi) => NOTE[midi % 12] + (Math.floor(midi / 12) - 1);
const noteHz = (midi) => 440 * 2 ** ((midi - 69) / 12);
const isBlack = (midi) => [1, 3, 6, 8, 10].includes(midi % 12);

// Places on the keyboard, not letters, so that other layouts find their keys where the hand expects them.
const COMPUTER_KEYS = ['KeyA', 'KeyW', 'KeyS', 'KeyE', 'KeyD', 'KeyF', 'KeyT', 'KeyG', 'KeyY', 'KeyH', 'KeyU', 'KeyJ', 'KeyK'];

// --- patches ------------------------------------------------------------------------------------
// A patch may come from anywhere: everything in it is checked, and says in words what is wrong.
function validatePatch(patch, synth) {
  const fail = (message) => { throw new Error(message); };
  if (!patch || patch.format !== 'ddsp_book.patch') fail('This is not a patch of this book (format: expected "ddsp_book.patch").');
  if (patch.version !== 1) fail(`version: expected 1, found ${JSON.stringify(patch.version)}.`);
  if (patch.synth !== synth) fail(`synth: this panel plays "${synth}", the patch is for ${JSON.stringify(patch.synth)}.`);
  const v = patch.values;
  if (!v || typeof v !== 'object') fail('values: missing.');
  const number = (name, low, high) => {
    if (!(typeof v[name] === 'number' && v[name] >= low && v[name] <= high)) {
      fail(`${name}: expected a number from ${low} to ${high}, found ${JSON.stringify(v[name])}.`);
    }
  };
  const list = (name, most, length, v = patch.values) => {
    const x = v[name], what = length === undefined ? `up to ${most}` : length;
    if (!Array.isArray(x) || x.length > most || (length !== undefined && x.length !== length)) {
      fail(`${name}: expected ${what} numbers, found ${Array.isArray(x) ? x.length : JSON.stringify(x)}.`);
    }
    const bad = x.findIndex((e) => typeof e !== 'number' || !(Math.abs(e) <= 1e5));
    if (bad >= 0) fail(`${name}: number ${bad + 1} is ${JSON.stringify(x[bad])}.`);
  };
  number('fs', 8000, 96000);
  const check = { hybrid() {
    number('f0_hz', 1, v.fs / 2);
    number('noise_seed', 0, 2 ** 32 - 1);
    list('harmonic_amps', 512, v.K_harm);
    list('noise_fir', 8192, v.M_noise);
    list('reverb_ir', 10 * v.fs, v.L_reverb);
    number('N', 1, 600 * v.fs);
    const p = patch.performance;
    if (!p) return;
    list('f0_hz', 1e5, undefined, p);
    list('gain', 1e5, undefined, p);
    if (!(p.every >= 1) || !p.gain.length || !p.f0_hz.every((f) => f > 0)) fail('performance: expected positive pitches, gains, and how many samples lie between them.');
  } }[synth];
  check();
  return patch;
}

// --- knobs --------------------------------------------------------------------------------------
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

// --- keyboard -----------------------------------------------------------------------------------
class Piano {
  constructor(onNote, offNote) {
    Object.assign(this, { onNote, offNote, low: 60, fingers: new Map(), marks: new Map() });
    this.node = h('div.piano', {
      role: 'group', tabindex: 0, 'aria-label': 'Piano. Computer keys A to K play, Z and X change the octave',
    });
    const finger = (e) => {
      const key = e.buttons || e.pointerType === 'touch' ? this.node.getRootNode().elementFromPoint(e.clientX, e.clientY) : null;
      const midi = key && key.dataset.midi ? +key.dataset.midi : null, now = this.fingers.get(e.pointerId);
      if (midi === now) return;
      if (now != null) this.offNote(`p${e.pointerId}`, now);
      this.fingers.set(e.pointerId, midi);
      if (midi == null) return;
      const box = key.getBoundingClientRect();  // further down the key is louder, as on the real lever
      this.onNote(`p${e.pointerId}`, midi, 0.45 + 0.55 * clamp((e.clientY - box.top) / box.height, 0, 1));
    };
    const lift = (e) => {
      const now = this.fingers.get(e.pointerId);
      if (now != null) this.offNote(`p${e.pointerId}`, now);
      this.fingers.delete(e.pointerId);
    };
    this.node.onpointerdown = (e) => {
      if (e.button) return;
      this.node.setPointerCapture(e.pointerId);  // a finger may slide over the keys
      this.fingers.set(e.pointerId, null);
      finger(e);
    };
    this.node.onpointermove = (e) => { if (this.fingers.has(e.pointerId)) finger(e); };
    this.node.onpointerup = this.node.onpointercancel = this.node.onlostpointercapture = lift;
    this.node.oncontextmenu = (e) => e.preventDefault();  // a long touch is a long note
    new ResizeObserver(() => this.lay()).observe(this.node);
  }

  // As many octaves as fit with keys wide enough for a finger.
  lay() {
    const octaves = clamp(Math.floor((this.node.clientWidth / 30 - 1) / 7), 1, 4);
    this.first = this.low - 12 * Math.floor((octaves - 1) / 2);
    const last = this.first + 12 * octaves, whites = 7 * octaves + 1, keys = [];
    for (let midi = this.first, white = 0; midi <= last; midi++) {
      const black = isBlack(midi), letter = COMPUTER_KEYS[midi - this.low];
      keys.push(h(black ? 'span.key.black' : 'span.key', {
        'data-midi': midi, style: `left:${100 * (white - (black ? 0.31 : 0)) / whites}%;width:${100 * (black ? 0.62 : 1) / whites}%`,
      }, h('i', {}, letter ? letter[3] : ''), !black && midi % 12 === 0 ? h('small', {}, noteName(midi)) : null));
      if (!black) white++;
    }
    this.node.replaceChildren(...keys);
    this.marks.forEach((count, midi) => this.light(midi, count > 0));
  }

  shift(octaves) { this.low = clamp(this.low + 12 * octaves, 24, 96); this.lay(); }

  mark(midi, change) {
    const count = Math.max(0, (this.marks.get(midi) || 0) + change);
    this.marks.set(midi, count);
    this.light(midi, count > 0);
  }
  light(midi, on) {
    const key = this.node.querySelector(`[data-midi="${midi}"]`);
    if (key) key.classList.toggle('down', on);
  }
}

// --- the panel ----------------------------------------------------------------------------------
// A subclass says: synth (a name in DSP.synths), knobs(), face() (its own part of the panel),
// configure(call) (sends its state to a fresh synth), sketch(n, f0) (what one note looks like),
// and bake() (the values of the patch as it sounds now).
class Instrument extends Widget {
  build(root) {
    this.held = new Map();  // id → midi: what sounds now
    this.performButton = h('button.word', { type: 'button', onclick: () => this.perform() }, 'Play it as it was played');
    this.midi = 69;         // the last note: what the pictures and the recording show
    const volume = { name: 'volume', label: 'Volume', low: 0, high: 1, default: 0.8, text: percent, set: (v) => this.engine && this.engine.setVolume(v) };
    this.panel = h('div.deck.instrument', { role: 'group', 'aria-label': this.getAttribute('caption') || 'Synthesizer' });
    this.panel.onkeydown = (e) => this.computerKey(e, true);
    this.panel.onkeyup = (e) => this.computerKey(e, false);
    this.panel.addEventListener('focusout', (e) => { if (!this.shadowRoot.contains(e.relatedTarget)) this.silence(); });

    this.heading = h('b', {});
    this.status = h('span.status', { role: 'status' });
    this.sounding = h('span.status', { 'aria-hidden': 'true' });  // a screen reader should not talk over the music
    this.scope = h('canvas.scope', { role: 'img', 'aria-label': 'Oscilloscope' });
    this.spectrum = h('canvas.spectrum', { role: 'img', 'aria-label': 'Spectrum' });
    this.piano = new Piano((id, midi, velocity) => this.noteOn(id, midi, velocity), (id) => this.noteOff(id));
    const texts = [...this.querySelectorAll('script[type="application/json"]')].map((s) => s.textContent);
    this.load(texts[0]);
    const presets = texts.length < 2 ? null : h('select', {
      'aria-label': 'Preset', onchange: (e) => this.open(texts[e.target.value]),
    }, ...texts.map((text, i) => h('option', { value: i }, String(JSON.parse(text).name || `Preset ${i + 1}`))));
    this.controls = [...this.knobs(), volume].map((spec) => new Knob(spec, (k) => { k.set(k.value); this.draw(); }));

    this.file = h('input', { type: 'file', accept: '.json,application/json', hidden: true, 'aria-label': 'Patch file' });
    this.file.onchange = async () => {
      const [file] = this.file.files;
      this.file.value = '';
      if (file) this.open(await file.text());
    };
    const button = (label, onclick) => h('button.word', { type: 'button', onclick }, label);
    this.panel.append(
      h('div.bar', {}, this.heading, presets, this.status, this.sounding),
      h('div.views', {}, this.scope, this.spectrum),
      this.face(),
      h('div.knobs', {}, ...this.controls.map((k) => k.node)),
      h('div.keys', {},
        h('button.octave', { type: 'button', 'aria-label': 'Octave down', title: 'Octave down (Z)', onclick: () => this.piano.shift(-1) }, '‹'),
        this.piano.node,
        h('button.octave', { type: 'button', 'aria-label': 'Octave up', title: 'Octave up (X)', onclick: () => this.piano.shift(1) }, '›')),
      h('div.footer', {}, this.caption(), h('span.tools', {}, this.performButton,
        button('Reset', () => this.reset()),
        button('Open patch', () => this.file.click()),
        button('Save patch', () => this.download(`${this.fileName()}.json`, new Blob([this.patchText()], { type: 'application/json' }))),
        button('Save note as WAV', () => this.download(`${this.fileName()}_${noteName(this.midi).replace('♯', 's')}.wav`, encodeWav(this.renderNote(), this.patch.values.fs))),
        navigator.requestMIDIAccess ? button('MIDI', () => this.connectMidi()) : null), this.file));
    root.append(this.panel);
    this.reset();
    new ResizeObserver(() => this.draw()).observe(this.scope);
  }

  knob(name) { return this.controls.find((k) => k.name === name).value; }
  say(message) {
    this.status.textContent = message;
    this.sounding.textContent = '';
  }

  // --- patches
  load(text) {
    let patch;
    try { patch = JSON.parse(text); } catch (error) { throw new Error('This file is not JSON.'); }
    this.patch = validatePatch(patch, this.constructor.synth);
    this.source = text;
    this.performButton.hidden = !patch.performance;
    this.heading.textContent = typeof patch.name === 'string' ? patch.name.slice(0, 120) : '';
    const midi = Math.round(69 + 12 * Math.log2((patch.values.f0_hz || 440) / 440));
    this.midi = clamp(midi, 0, 127);
    this.piano.low = clamp(12 * Math.floor(this.midi / 12), 24, 96);
    this.piano.lay();
    if (this.engine) this.engine.close();  // another patch may have another sample rate
    this.engine = null;
  }

  open(text) {
    try {
      this.silence();
      this.load(text);
      this.reset();
      this.say('Opened.');
    } catch (error) {
      this.say(`Not opened. ${error.message}`);
    }
  }

  reset() {
    this.controls.forEach((k) => k.reset());
    this.resetFace();
    if (this.engine) this.configure((...message) => this.engine.call(...message));
    if (this.engine) this.engine.setVolume(this.knob('volume'));
    this.say('');
    this.aim();
    this.draw();
  }

  // The patch as it sounds now: knobs are baked into its values, so that Python plays the same. An
  // edited patch no longer carries the checksum of the learned one; an unedited one is the same text.
  patchText() {
    const { sha256, ...patch } = this.patch, values = { ...patch.values, ...this.bake() };
    const same = JSON.stringify(values) === JSON.stringify(patch.values);
    return same ? this.source : JSON.stringify({ ...patch, name: `${patch.name || 'Patch'} (edited)`, values }, null, 1);
  }

  fileName() { return (this.heading.textContent.replace(/[^\w-]+/g, '_') || 'patch').slice(0, 60); }

  download(name, blob) {
    const link = h('a', { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.say(`Saved ${name}`);
  }

  renderNote(holdS = 1.5) {
    const { fs } = this.patch.values, synth = new DSP.synths[this.constructor.synth](this.patch);
    this.configure((method, ...values) => synth[method](...values));
    const hold = new Float32Array(Math.round(holdS * fs)), tail = new Float32Array(Math.round((this.knob('release') + 1) * fs));
    synth.process(new Float32Array(Math.round(fs)));  // a silent second, in which the knobs reach their places
    synth.noteOn('wav', noteHz(this.midi), 1);
    synth.process(hold);
    synth.noteOff('wav');
    synth.process(tail);
    const out = new Float32Array(hold.length + tail.length);
    out.set(hold);
    out.set(tail, hold.length);
    return out.map((x) => x * this.knob('volume'));
  }

  // --- notes
  pause() { this.silence(); }  // another performer takes the stage

  wake() {
    takeStage(this);
    if (!this.engine) {
      this.engine = new Engine(this.constructor.synth, this.patch);
      this.configure((...message) => this.engine.call(...message));
      this.engine.setVolume(this.knob('volume'));
    } else output(this.patch.values.fs);  // resumes, should the browser have suspended it
  }

  noteOn(id, midi, velocity = 0.8, message = ['noteOn', id, noteHz(midi), velocity]) {
    if (midi < 0 || midi > 127) return;
    this.wake();
    this.noteOff(id);
    this.held.set(id, midi);
    this.midi = midi;
    this.piano.mark(midi, 1);
    this.engine.call(...message);
    this.say('');
    this.sounding.textContent = `${noteName(midi)} · ${noteHz(midi).toFixed(1)} Hz`;
    this.aim();
    this.animate();
  }

  perform() {
    const { f0_hz, N, fs } = this.patch.values;
    this.noteOn('performance', Math.round(69 + 12 * Math.log2(f0_hz / 440)), 1, ['perform', 'performance']);
    clearTimeout(this.performing);
    this.performing = setTimeout(() => this.noteOff('performance'), 1000 * N / fs);
  }

  noteOff(id) {
    if (!this.held.has(id)) return;
    this.piano.mark(this.held.get(id), -1);
    this.held.delete(id);
    this.engine.call('noteOff', id);
  }

  aim() {}  // the note that is shown has changed

  silence() { for (const id of [...this.held.keys()]) this.noteOff(id); }

  computerKey(e, down) {
    if (down && (e.ctrlKey || e.metaKey || e.altKey)) return;
    const i = COMPUTER_KEYS.indexOf(e.code), octave = { KeyZ: -1, KeyX: 1 }[e.code];
    if (i < 0 && !octave) return;
    e.preventDefault();
    e.stopPropagation();
    if (octave) { if (down) this.piano.shift(octave); return; }
    if (down && !e.repeat) this.noteOn(e.code, this.piano.low + i);
    if (!down) this.noteOff(e.code);
  }

  async connectMidi() {
    try {
      const access = await navigator.requestMIDIAccess();
      const listen = () => access.inputs.forEach((input) => {
        input.onmidimessage = ({ data: [status, note, velocity] }) => {
          const kind = status & 0xf0;
          if (kind === 0x90 && velocity) this.noteOn(`m${note}`, note, velocity / 127);
          else if (kind === 0x80 || kind === 0x90) this.noteOff(`m${note}`);
          else if (kind === 0xb0 && (note === 120 || note === 123)) this.silence();
        };
      });
      access.onstatechange = listen;
      listen();
      const names = [...access.inputs.values()].map((input) => input.name);
      this.say(names.length ? `Listening to ${names.join(', ')}` : 'MIDI is on; connect a keyboard.');
    } catch (error) {
      this.say('The browser did not allow MIDI.');
    }
  }

  left() { this.silence(); }
  redraw() { this.draw(); }
  stop() {
    if (!this.engine) return;
    this.silence();
    this.engine.close();
    this.engine = null;
  }

  // --- pictures: live while it sounds, at rest what one note would look like
  animate() {
    if (this.running) return;
    const x = new Float32Array(4096), pace = reducedMotion() ? 400 : 0;
    let quiet = 0, last = 0;
    this.running = true;
    const frame = (now) => {
      if (!this.engine) { this.running = false; return; }
      if (now - last >= pace) {
        last = now;
        output(this.patch.values.fs).analyser.getFloatTimeDomainData(x);
        const loud = x.some((v) => Math.abs(v) > 1e-3);
        quiet = this.held.size || loud ? 0 : quiet + 1;
        if (loud) this.drawSound(x);
      }
      if (quiet > 5) { this.running = false; this.draw(); return; }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  draw() {
    cancelAnimationFrame(this.drawing);  // once per frame, however fast the bars are dragged
    this.drawing = requestAnimationFrame(() => {
      if (this.running || !this.controls || !this.scope.clientWidth) return;
      this.drawSound(this.sketch(4096, noteHz(this.midi)), 0.55);
    });
  }

  drawSound(x, alpha = 1) {
    const { ink, accent } = palette(this), { fs } = this.patch.values, n = x.length;
    const period = fs / noteHz(this.midi);
    paint(this.scope, (g, w, height) => {
      const span = Math.min(n / 2, 3 * period);
      let start = 1;  // a rising zero crossing keeps the picture still
      while (start < n / 2 && !(x[start - 1] < 0 && x[start] >= 0)) start++;
      let top = 0.05;
      for (const v of x) top = Math.max(top, Math.abs(v));
      g.globalAlpha = 0.25;
      g.fillStyle = ink;
      g.fillRect(0, height / 2, w, 0.5);
      g.globalAlpha = alpha;
      g.strokeStyle = accent;
      g.lineWidth = 1.6;
      g.lineJoin = 'round';
      g.beginPath();
      for (let px = 0; px <= w; px++) {
        const at = start + px / w * span, i = Math.floor(at), v = x[i] + (at - i) * ((x[i + 1] || 0) - x[i]);
        g.lineTo(px, height / 2 * (1 - 0.92 * v / top));
      }
      g.stroke();
    });

    const fft = this.fft || (this.fft = new DSP.RealFFT(n)), bins = n / 2;
    const re = new Float64Array(bins + 1), im = new Float64Array(bins + 1);
    fft.forward(Float64Array.from(x, (v, i) => v * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / n))), re, im);
    paint(this.spectrum, (g, w, height) => {
      const floor = -90, low = 50, ratio = fs / 2 / low, base = height - 14;
      const atHz = (hz) => w * Math.log(hz / low) / Math.log(ratio);
      const db = (k) => 10 * Math.log10((re[k] ** 2 + im[k] ** 2) / (n / 4) ** 2 + 1e-12);
      g.fillStyle = ink;
      g.font = `11px ${getComputedStyle(this).fontFamily}`;
      for (const hz of [100, 1000, 10000]) {
        if (hz > fs / 2) break;
        g.globalAlpha = 0.14;
        g.fillRect(atHz(hz), 0, 1, base);
        g.globalAlpha = 0.75;
        g.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, atHz(hz) - 14, height - 1);
      }
      g.globalAlpha = alpha;
      g.beginPath();
      for (let px = 0; px <= w; px++) {  // the loudest bin that falls on each pixel
        const from = Math.floor(low * ratio ** (px / w) / fs * n), to = Math.max(from + 1, Math.floor(low * ratio ** ((px + 1) / w) / fs * n));
        let level = floor;
        for (let k = from; k < to && k <= bins; k++) level = Math.max(level, db(k));
        g.lineTo(px, base * clamp(level / floor, 0, 1));
      }
      g.strokeStyle = g.fillStyle = accent;
      g.lineWidth = 1.2;
      g.stroke();
      g.lineTo(w, base);
      g.lineTo(0, base);
      g.globalAlpha = alpha * 0.22;
      g.fill();
    });
  }
}
