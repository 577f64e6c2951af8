// A piano for mouse, fingers and the computer's keys.

const NOTE = ['C', 'C♯', 'D', 'D♯', 'E', 'F', 'F♯', 'G', 'G♯', 'A', 'A♯', 'B'];
const noteHz = (midi) => 440 * 2 ** ((midi - 69) / 12);  // notes between the keys have a pitch too,
const noteOf = (hz) => 69 + 12 * Math.log2(hz / 440);
const noteName = (midi) => NOTE[Math.round(midi) % 12] + (Math.floor(Math.round(midi) / 12) - 1);  // and their neighbour's name
const isBlack = (midi) => [1, 3, 6, 8, 10].includes(midi % 12);

// Places on the keyboard, not letters, so that other layouts find their keys where the hand expects them.
const COMPUTER_KEYS = ['KeyA', 'KeyW', 'KeyS', 'KeyE', 'KeyD', 'KeyF', 'KeyT', 'KeyG', 'KeyY', 'KeyH', 'KeyU', 'KeyJ', 'KeyK'];

class Piano {
  constructor(onNote, offNote) {
    Object.assign(this, { onNote, offNote, low: 60, fingers: new Map(), marks: new Map() });
    this.node = h('div.piano', {
      role: 'application', tabindex: 0, 'aria-label': 'Piano. Computer keys A to K play, Z and X change the octave',
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
    this.node.onpointerup = this.node.onpointercancel = lift;
    this.node.onlostpointercapture = (e) => { if (e.target === this.node) lift(e); };  // not when a key hands its finger over to us
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
