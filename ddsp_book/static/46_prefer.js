// <ddsp-prefer>: two sounds, one question, a choice; and a model of what the listener has in mind, which picks
// the next two. It is ddsp_book.preference.Taste: a test holds the two to each other.

// `count` points that fill the unit cube evenly; as in Python.
function spreadOut(count, knobs) {
  let root = 2;
  for (let i = 0; i < 60; i++) root = (1 + root) ** (1 / (knobs + 1));
  return Array.from({ length: count }, (_, k) => Array.from({ length: knobs }, (__, i) => (0.5 + k * root ** -(i + 1)) % 1));
}

const logSigmoid = (z) => Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)));
const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const bits = (p) => (p > 0 && p < 1 ? -(p * Math.log2(p) + (1 - p) * Math.log2(1 - p)) : 0);

// Places of `weight` that stand for equal shares of it.
function quantiles(weight, count) {
  const total = Float64Array.from(weight);
  for (let i = 1; i < total.length; i++) total[i] += total[i - 1];
  const all = total[total.length - 1], found = [];
  for (let k = 0, at = 0; k < count; k++) {
    while (total[at] < (k + 0.5) / count * all) at++;
    found.push(at);
  }
  return found;
}

class Taste {
  constructor(places, sure = [0, 1, 2, 4, 8]) {
    this.count = places.length;
    this.sure = sure;
    this.apart = places.map((p) => Float64Array.from(places, (q) => Math.sqrt(p.reduce((sum, x, i) => sum + (x - q[i]) ** 2, 0))));
    this.forget();
  }

  forget() {
    this.choices = [];
    this.log = this.sure.map(() => new Float64Array(this.count));
  }

  choose(i, j, chosen) {
    const { apart, count } = this, sound = (k) => Number.isInteger(k) && k >= 0 && k < count;
    if (!sound(i) || !sound(j) || !(chosen >= 0 && chosen <= 1)) throw new Error('This is not a choice between two of these sounds.');
    this.choices.push([i, j, chosen]);
    this.sure.forEach((sure, s) => {
      for (let k = 0; k < count; k++) {
        const z = sure * (apart[j][k] - apart[i][k]);
        this.log[s][k] += chosen * logSigmoid(z) + (1 - chosen) * logSigmoid(-z);
      }
    });
  }

  set(choices) {  // all of them, or none
    const before = this.choices;
    this.forget();
    try { choices.forEach(([i, j, chosen]) => this.choose(i, j, chosen)); } catch (error) {
      this.set(before);
      throw error;
    }
  }

  undo() { this.set(this.choices.slice(0, -1)); }

  belief() {
    const most = Math.max(...this.log.map((row) => row.reduce((m, x) => Math.max(m, x), -Infinity)));
    const rows = this.log.map((row) => row.map((x) => Math.exp(x - most)));
    const all = rows.reduce((sum, row) => sum + row.reduce((s, x) => s + x, 0), 0);
    return rows.map((row) => row.map((x) => x / all));
  }

  // Of each sound, whatever the sureness; without the coin's share if `sober`.
  likely(sober = false) {
    const rows = this.belief().filter((_, s) => !sober || this.sure[s] > 0);
    return Float64Array.from({ length: this.count }, (_, k) => rows.reduce((sum, row) => sum + row[k], 0));
  }

  coin() { return this.belief().reduce((sum, row, s) => sum + (this.sure[s] ? 0 : row.reduce((a, x) => a + x, 0)), 0); }

  best() {
    const weight = this.likely(true);
    let best = 0, least = Infinity;
    this.apart.forEach((row, i) => {
      const far = row.reduce((sum, d, k) => sum + d * weight[k], 0);
      if (far < least) [best, least] = [i, far];
    });
    return best;
  }

  information(pairs, thoughts = 300) {  // bits to expect from each comparison
    const { count, sure, apart } = this, flat = new Float64Array(sure.length * count);
    this.belief().forEach((row, s) => flat.set(row, s * count));
    const thought = quantiles(flat, thoughts), b = thought.map((t) => sure[Math.floor(t / count)]), mind = thought.map((t) => t % count);
    return pairs.map(([i, j]) => {
      let mean = 0, within = 0;
      for (let t = 0; t < thoughts; t++) {
        const p = sigmoid(b[t] * (apart[j][mind[t]] - apart[i][mind[t]]));
        mean += p / thoughts;
        within += bits(p) / thoughts;
      }
      return bits(mean) - within;
    });
  }

  propose(likely = 24, others = 24) {
    const turn = this.choices.length * others, fresh = Array.from({ length: others }, (_, k) => Math.floor((turn + k) * GOLDEN % 1 * this.count));
    const sounds = [...new Set([...quantiles(this.likely(), likely), ...fresh])].sort((a, b) => a - b);
    const pairs = sounds.flatMap((i, k) => sounds.slice(k + 1).map((j) => [i, j]));
    const info = this.information(pairs);
    return pairs[info.reduce((best, x, k) => (x > info[best] ? k : best), 0)];
  }

  words() {
    const n = this.choices.length;
    return `${n} choice${n === 1 ? '' : 's'} so far.${n >= 10 && this.coin() > 0.5
      ? " They contradict each other: as yet they might as well be a coin's." : ''}`;
  }
}

const BINS = 24, EARLY = 5;  // before so many choices there is no favourite to speak of

define('ddsp-prefer', class extends Widget {
  build(root) {
    const data = this.data = JSON.parse(this.querySelector('script[type="application/json"]').textContent);
    this.voice = { fm6: DSP.renderFM6, subtractive: DSP.renderSubtractive }[data.synth];
    this.taste = new Taste(data.places);
    this.points = spreadOut(data.places.length, data.names.length);
    this.sounds = new Map();
    this.status = h('span.status', { role: 'status' });
    const side = (k) => {
      const name = 'AB'[k];
      const hear = h('button.play', { type: 'button', 'aria-label': `Hear ${name}`, title: `Hear ${name} (key ${name})`, onclick: () => this.hear(k) }, icon(ICON.play));
      const take = h('button.pick', { type: 'button', title: `Choose ${name} (${'←→'[k]})`, onclick: () => this.answer(1 - k) }, name);
      return { hear, take };
    };
    this.sides = [side(0), side(1)];
    this.neither = h('button.word', { type: 'button', title: '↓', onclick: () => this.answer(0.5) }, 'No difference');
    this.strips = data.names.map(() => svg('path'));
    this.marks = data.names.map(() => svg('line', { class: 'now', y1: 0, y2: 30, 'vector-effect': 'non-scaling-stroke' }));
    const strips = data.names.map((name, i) => h('div.strip', { role: 'img' }, h('span', {}, name),
      svg('svg', { viewBox: '0 0 240 30', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.strips[i], this.marks[i])));
    const word = (label, onclick) => h('button.word', { type: 'button', onclick }, label);
    this.favourite = [word('Hear the favourite', () => this.sound(this.taste.best())), word('Save its patch', () => this.savePatch())];
    this.back = [word('Undo', () => { this.taste.undo(); this.turn(''); }), word('Start again', () => { this.taste.forget(); this.turn(''); }),
      word('Save choices', () => this.saveChoices())];
    this.file = h('input', { type: 'file', accept: '.json,application/json', hidden: true, 'aria-label': 'File of choices' });
    this.file.onchange = async () => {
      const [file] = this.file.files;
      this.file.value = '';
      if (file) this.open(await file.text());
    };
    const [a, b] = this.sides;
    this.panel = h('div.deck.prefer', { role: 'group', 'aria-label': data.question, tabindex: -1, onkeydown: (e) => this.key(e) },
      h('div.bar', {}, h('b', {}, data.question), this.status),
      h('div.duel', {}, a.hear, a.take, this.neither, b.take, b.hear),
      h('div.strips', {}, ...strips),
      h('div.footer', {}, this.caption(), h('span.tools', {}, ...this.favourite, ...this.back, word('Open choices', () => this.file.click()))), this.file);
    root.append(this.panel);
    this.turn(this.recall() ? 'Taken up where you left it: ' : '');
  }

  // --- asking
  turn(said) {
    const n = this.taste.choices.length;
    this.pair = this.taste.propose();
    this.heard = [false, false];
    this.status.textContent = said + (n ? this.taste.words() : 'Hear both, then choose.');
    this.favourite.forEach((button) => { button.disabled = n < EARLY; });
    this.back.forEach((button) => { button.disabled = n < 1; });
    this.sides.forEach(({ take }) => { take.disabled = true; });
    this.neither.disabled = true;
    this.draw();
    this.keep();
  }

  hear(k) {
    this.cancel();
    this.sound(this.pair[k]);
    this.heard[k] = true;
    const both = this.heard[0] && this.heard[1];
    for (const button of [this.sides[0].take, this.sides[1].take, this.neither]) button.disabled = !both;
    this.sides.forEach(({ hear }, i) => hear.classList.toggle('sounds', i === k));
  }

  answer(chosen) {
    if (!(this.heard[0] && this.heard[1])) return;
    this.taste.choose(...this.pair, chosen);
    this.turn('');
    this.hear(0);  // the next two, one after the other
    this.later = setTimeout(() => this.hear(1), 1000 * this.data.seconds + 250);
    if (!this.shadowRoot.activeElement || this.shadowRoot.activeElement.disabled) this.panel.focus({ preventScroll: true });
  }

  cancel() {
    clearTimeout(this.later);
    this.sides.forEach(({ hear }) => hear.classList.remove('sounds'));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const act = { a: () => this.hear(0), b: () => this.hear(1), ArrowLeft: () => this.answer(1), ArrowRight: () => this.answer(0),
      ArrowDown: () => this.answer(0.5) }[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act) return;
    e.preventDefault();
    e.stopPropagation();
    act();
  }

  // --- what it believes: how likely each position of each macro is
  draw() {
    const likely = this.taste.likely(true), all = likely.reduce((sum, x) => sum + x, 0) || 1, n = this.taste.choices.length;
    const best = this.points[this.taste.best()];
    this.strips.forEach((path, i) => {
      const bins = new Float64Array(BINS);
      this.points.forEach((point, k) => { bins[Math.floor(point[i] * BINS)] += likely[k] / all; });
      const top = Math.max(...bins, 4 / BINS);
      path.setAttribute('d', `M0,30${[...bins].map((x, b) => `V${(30 - 28 * x / top).toFixed(1)}H${(b + 1) * 240 / BINS}`).join('')}V30Z`);
      this.marks[i].setAttribute('x1', 240 * best[i]);
      this.marks[i].setAttribute('x2', 240 * best[i]);
      this.marks[i].setAttribute('visibility', n < EARLY ? 'hidden' : 'visible');
      path.parentNode.parentNode.setAttribute('aria-label', n < EARLY ? `${this.data.names[i]}: not known yet` : `${this.data.names[i]}: favourite at ${percent(best[i])}`);
    });
  }

  // --- sounding
  patch(k) {
    const { synth, values, moves, question } = this.data, own = structuredClone(values);
    moves.forEach((macro, m) => macro.forEach(([label, start, end]) => {
      const [name, index] = label.split(' '), { curve, low, high } = PANELS[synth].knobs.find((knob) => knob.name === name);
      const value = CURVES[curve][0](start + (end - start) * this.points[k][m], low, high);
      if (index) own[name][index - 1] = value; else own[name] = value;
    }));
    return { format: 'ddsp_book.patch', version: 1, synth, name: `${question} no. ${k + 1}`, origin: '', values: own };
  }

  render(k) {
    if (!this.sounds.has(k)) this.sounds.set(k, this.voice(this.patch(k), MAP_RATE, Math.round(this.data.seconds * MAP_RATE)));
    return this.sounds.get(k);
  }

  sound(k) {
    takeStage(this);
    this.halt();
    this.run = strike(this.render(k), this.data.seconds);
  }

  halt() {
    if (this.run) hush(this.run);
    this.run = null;
  }

  pause() { this.cancel(); this.halt(); }
  left() { this.pause(); }
  stop() { this.pause(); }

  // --- stopping half-way, and going on
  get place() { return `ddsp-prefer ${this.data.question} ${this.data.places.length} ${this.data.places[1]}`; }
  keep() { try { localStorage.setItem(this.place, this.choicesText()); } catch (error) { /* a private window keeps nothing */ } }
  recall() {
    try { this.take(localStorage.getItem(this.place)); } catch (error) { return false; }
    return this.taste.choices.length > 0;
  }

  choicesText() { return JSON.stringify({ format: 'ddsp_book.choices', version: 1, sounds: this.taste.count, choices: this.taste.choices }); }
  take(text) {
    const data = JSON.parse(text);
    if (!data || data.format !== 'ddsp_book.choices' || !Array.isArray(data.choices)) throw new Error('This is not a file of choices.');
    if (data.sounds !== this.taste.count) throw new Error(`These are choices among ${data.sounds} sounds, here are ${this.taste.count}.`);
    this.taste.set(data.choices);
  }
  open(text) {
    try {
      this.take(text);
      this.turn('Opened: ');
    } catch (error) {
      this.status.textContent = `Not opened. ${error instanceof SyntaxError ? 'This file is not JSON.' : error.message}`;
    }
  }

  save(name, text) {
    const link = h('a', { href: URL.createObjectURL(new Blob([text], { type: 'application/json' })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.status.textContent = `Saved ${name}`;
  }
  saveChoices() { this.save('choices.json', this.choicesText()); }
  savePatch() { this.save('favourite.json', JSON.stringify(this.patch(this.taste.best()), null, 1)); }
});
