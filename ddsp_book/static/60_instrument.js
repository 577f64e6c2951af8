// The panel that every synthesizer of this book shares: keyboard, knobs, scope and spectrum, patch
// files, a recording.
//
// A subclass says: synth (a name in DSP.synths), knobs(), face() and resetFace() (its own part of the
// panel), configure(call) (sends its state to a fresh synth), sketch(n, f0) (what one note looks like),
// tail() (how long a note sounds on, in seconds) and bake() (the patch's values as it sounds now).
let midiPlayer = null;
class Instrument extends Widget {
  build(root) {
    this.held = new Map();  // id → midi: what sounds now
    this.lifted = new Set();  // MIDI keys that are up but held by the pedal
    this.performButton = h('button.word', { type: 'button', onclick: () => this.perform() }, 'Play it as it was played');
    this.midi = 69;         // the last note: what the pictures and the recording show
    const volume = { name: 'volume', label: 'Volume', low: 0, high: 1, default: 0.8, text: percent, set: (v) => this.engine && this.engine.setVolume(v) };
    this.panel = h('div.deck.instrument', { role: 'group', 'aria-label': this.getAttribute('caption') || 'Synthesizer' });
    this.panel.onkeydown = (e) => this.computerKey(e, true);
    this.panel.onkeyup = (e) => this.computerKey(e, false);
    this.panel.addEventListener('focusout', (e) => { if (!this.shadowRoot.contains(e.relatedTarget)) this.deserted(); });

    this.heading = h('b', {});
    this.status = h('span.status', { role: 'status' });
    this.sounding = h('span.status', { 'aria-hidden': 'true' });  // a screen reader should not talk over the music
    this.scopes = new this.constructor.Scopes(this, 4096);
    this.piano = new Piano((id, midi, velocity) => this.noteOn(id, midi, velocity), (id) => this.noteOff(id));
    const texts = this.texts = [...this.querySelectorAll('script[type="application/json"]')].map((s) => s.textContent);
    this.presets = h('select', { 'aria-label': 'Preset', hidden: texts.length < 2, onchange: (e) => this.open(texts[e.target.value]) },
      ...texts.map((text, i) => h('option', { value: i }, String(JSON.parse(text).name || `Preset ${i + 1}`))));
    this.load(texts[0]);
    this.controls = [...this.knobs(), volume].map((spec) => new Knob(spec, (k) => { k.set(k.value); this.draw(); }));

    this.file = h('input', { type: 'file', accept: '.json,application/json', hidden: true, 'aria-label': 'Patch file' });
    this.file.onchange = async () => {
      const [file] = this.file.files;
      this.file.value = '';
      if (file) this.open(await file.text());
    };
    const button = (label, onclick) => h('button.word', { type: 'button', onclick }, label);
    this.panel.append(
      h('div.bar', {}, this.presets, this.heading, this.status, this.sounding),
      this.scopes.node,
      this.face(),
      h('div.knobs', {}, ...this.controls.map((k) => k.node)),
      h('div.keys', {},
        h('button.octave', { type: 'button', 'aria-label': 'Octave down', title: 'Octave down (Z)', onclick: () => this.piano.shift(-1) }, '‹'),
        this.piano.node,
        h('button.octave', { type: 'button', 'aria-label': 'Octave up', title: 'Octave up (X)', onclick: () => this.piano.shift(1) }, '›')),
      h('div.footer', {}, this.caption(), h('span.tools', {}, ...this.tools(button),
        navigator.requestMIDIAccess ? button('MIDI', () => this.connectMidi()) : null), this.file));
    root.append(this.panel);
    this.reset();
    new ResizeObserver(() => this.draw()).observe(this.scopes.node);
  }

  tools(button) {
    return [this.performButton,
      button('Reset', () => this.reset()),
      button('Open patch', () => this.file.click()),
      button('Save patch', () => this.download(`${this.fileName()}.json`, new Blob([this.patchText()], { type: 'application/json' }))),
      button('Save note as WAV', () => this.download(`${this.fileName()}_${noteName(this.midi).replace('♯', 's')}.wav`, encodeWav(this.renderNote(), this.rate)))];
  }

  get rate() { return this.patch.values.fs || 48000; }
  knob(name) { return this.controls.find((k) => k.name === name).value; }
  say(message) {
    this.status.textContent = message;
    this.sounding.textContent = '';
  }

  // --- patches
  load(text) {
    const patch = this.patch = readPatch(text, this.constructor.synth);
    this.source = text;
    this.performButton.hidden = !patch.performance;
    this.presets.selectedIndex = this.texts.indexOf(text);
    this.heading.hidden = this.texts.length > 1 && this.texts.includes(text);  // the preset says it
    this.heading.textContent = typeof patch.name === 'string' ? patch.name.slice(0, 120) : '';
    this.midi = clamp(this.rest(), 0, 127);
    this.piano.low = clamp(12 * Math.floor(this.midi / 12), 24, 96);
    this.piano.lay();
    if (this.engine) this.engine.close();  // another patch may have another sample rate
    this.engine = null;
  }

  rest() { return Math.round(noteOf(this.patch.values.f0_hz)); }  // the note that is shown before one is played

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
    this.controls.forEach((k) => k.reset(this.patch.values[k.name]));
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
    const fs = this.rate, synth = new DSP.synths[this.constructor.synth](this.patch, fs);
    this.configure((method, ...values) => synth[method](...values));
    const hold = new Float32Array(Math.round(holdS * fs)), tail = new Float32Array(Math.round(this.tail() * fs));
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
      this.engine = new Engine(this.constructor.synth, this.patch, this.rate);
      this.configure((...message) => this.engine.call(...message));
      this.engine.setVolume(this.knob('volume'));
    } else output(this.rate);  // resumes, should the browser have suspended it
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
    this.name(midi);
    this.aim();
    this.animate();
  }

  perform() {
    const { f0_hz, N, fs } = this.patch.values;
    this.noteOn('performance', Math.round(noteOf(f0_hz)), 1, ['perform', 'performance']);
    clearTimeout(this.performing);
    this.performing = setTimeout(() => this.noteOff('performance'), 1000 * N / fs);
  }

  noteOff(id) {
    if (!this.held.has(id)) return;
    this.piano.mark(this.held.get(id), -1);
    this.held.delete(id);
    this.engine.call('noteOff', id);
  }

  name(midi) { this.sounding.textContent = `${noteName(midi)} · ${noteHz(midi).toFixed(1)} Hz`; }
  aim() {}  // the note that is shown has changed

  silence() {
    for (const id of [...this.held.keys()]) this.noteOff(id);
    this.lifted.clear();
    this.pedal = false;
  }

  computerKey(e, down) {
    if (down && e.key === 'Meta') this.deserted();  // a Mac does not tell when keys go up under Command
    if (down && (e.ctrlKey || e.metaKey || e.altKey)) return;
    if (down && e.target.type === 'text' && e.target.value !== e.target.defaultValue) return;  // a number is being typed, with its unit
    const i = COMPUTER_KEYS.indexOf(e.code), octave = { KeyZ: -1, KeyX: 1 }[e.code];
    if (i < 0 && !octave) return;
    e.preventDefault();
    e.stopPropagation();
    if (octave) { if (down) this.piano.shift(octave); return; }
    if (down && !e.repeat) this.noteOn(e.code, this.piano.low + i);
    if (!down) this.noteOff(e.code);
  }

  // The MIDI keyboards play one instrument of the page: the last that asked for them.
  async connectMidi() {
    try {
      const access = await navigator.requestMIDIAccess();
      const listen = () => access.inputs.forEach((input) => {
        input.onmidimessage = ({ data }) => { if (midiPlayer === this) this.midiMessage(...data); };
      });
      access.onstatechange = ({ port }) => {
        if (port && port.state === 'disconnected') this.silence();
        listen();
      };
      listen();
      midiPlayer = this;
      const names = [...access.inputs.values()].map((input) => input.name);
      this.say(names.length ? `Listening to ${names.join(', ')}` : 'MIDI is on; connect a keyboard.');
    } catch (error) {
      this.say('The browser did not allow MIDI.');
    }
  }

  midiMessage(status, number, value) {
    const kind = status & 0xf0, id = `m${number}`;
    if (kind === 0x90 && value) {
      this.lifted.delete(id);
      this.noteOn(id, number, value / 127);
    } else if (kind === 0x80 || kind === 0x90) {
      if (this.pedal) this.lifted.add(id); else this.noteOff(id);
    } else if (kind === 0xb0 && number === 64) {
      this.pedal = value >= 64;
      if (!this.pedal) this.lifted.forEach((each) => this.noteOff(each));
      if (!this.pedal) this.lifted.clear();
    } else if (kind === 0xb0 && (number === 120 || number === 123)) this.silence();
  }

  // The focus went elsewhere, and keys let go there would never end. Those of a MIDI keyboard will.
  deserted() { for (const id of [...this.held.keys()]) if (!this.stays(id)) this.noteOff(id); }
  stays(id) { return id[0] === 'm'; }
  left() { this.silence(); }
  redraw() { this.draw(); }
  stop() {
    if (midiPlayer === this) midiPlayer = null;
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
        output(this.rate).analyser.getFloatTimeDomainData(x);
        const loud = x.some((v) => Math.abs(v) > 1e-3);
        quiet = this.held.size || loud ? 0 : quiet + 1;
        if (loud) this.drawSound(x, 1);
      }
      if (quiet > 5) { this.running = false; this.draw(); return; }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  draw() {
    cancelAnimationFrame(this.drawing);  // once per frame, however fast the bars are dragged
    this.drawing = requestAnimationFrame(() => {
      if (this.running || !this.controls || !this.scopes.node.clientWidth) return;
      this.drawSound(this.sketch(4096, noteHz(this.midi)), 0.55);
    });
  }

  drawSound(x, alpha) { this.scopes.draw(x, this.rate, 1 / noteHz(this.midi), alpha); }
}
Instrument.Scopes = Scopes;
