// <ddsp-fm6>: six operators, thirty-two ways to connect them.

const OPERATORS = [0, 1, 2, 3, 4, 5];
const label = (algorithm) => {  // an algorithm, spoken
  const { edges, carriers, feedback: [from, to] } = algorithm;
  const arrows = edges.map(([m, c]) => `${m} modulates ${c}`).join(', ');
  const loop = from === to ? `on ${from}` : `from ${from} to ${to}`;
  return `${arrows ? `${arrows}; ` : ''}${carriers.join(', ')} sound${carriers.length > 1 ? '' : 's'}; feedback ${loop}`;
};

// --- diagrams -----------------------------------------------------------------------------------------
// Carriers stand on the ground, each modulator above what it modulates. {op: [column, row]}
function placeOperators({ edges, carriers }) {
  const into = (op) => edges.filter((e) => e[1] === op).map((e) => e[0]);
  const moved = (op) => edges.filter((e) => e[0] === op).map((e) => e[1]);
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const place = {};
  let free = 0;
  const stand = (op, row) => {
    const above = into(op).filter((m) => moved(m).length === 1).map((m) => stand(m, row + 1));
    place[op] = [above.length ? mean(above) : free++, row];
    return place[op][0];
  };
  carriers.forEach((op) => stand(op, 0));
  for (let op = 1; op <= 6; op++) {
    const below = moved(op);
    if (below.length > 1) place[op] = [mean(below.map((c) => place[c][0])), 1 + place[below[0]][1]];
  }
  return { place, columns: free };
}

const CELL = 30, BOX = 20;
function diagram(algorithm, selected) {
  const { place, columns } = placeOperators(algorithm), { edges, carriers, feedback: [from, to] } = algorithm;
  const left = (6 - columns) * CELL / 2, rows = 1 + Math.max(...Object.values(place).map((p) => p[1]));
  const ground = (4 + rows) / 2 * CELL + 6;
  const x = (op) => left + (place[op][0] + 0.5) * CELL, y = (op) => ground - 8 - (place[op][1] + 0.5) * CELL;
  const half = BOX / 2, xs = carriers.map(x), wire = (d) => svg('path', { d });
  return svg('svg', { viewBox: `0 -4 ${6 * CELL} ${4 * CELL + 12}`, role: 'img', 'aria-label': label(algorithm) },
    svg('g', { class: 'wires' },
      ...edges.map(([m, c]) => wire(`M${x(m)} ${y(m) + half}V${(y(m) + y(c)) / 2}H${x(c)}V${y(c) - half}`)),
      wire(`M${x(from) + half} ${y(from)}h4V${y(to) - half - 3.5}H${x(to) + 3}V${y(to) - half}`),
      wire(xs.map((at) => `M${at} ${y(carriers[0]) + half}V${ground}`).join('') + `M${Math.min(...xs)} ${ground}H${Math.max(...xs)}`)),
    ...OPERATORS.map((i) => {
      const op = i + 1, kind = carriers.includes(op) ? 'op carrier' : 'op';
      return svg('g', { class: op === selected ? `${kind} on` : kind, 'data-op': op },
        svg('rect', { x: x(op) - half, y: y(op) - half, width: BOX, height: BOX, rx: 3 }),
        svg('text', { x: x(op), y: y(op) + 4 }, String(op)));
    }));
}

// --- the panel ----------------------------------------------------------------------------------------
class FM6 extends PanelInstrument {
  knobs() { return [this.knobOf('feedback'), this.knobOf('curve')]; }

  face() {
    this.selected = 0;
    const step = (d) => () => this.turn('algorithm', (this.values.algorithm - 1 + d + 32) % 32 + 1);
    const button = (name, text, onclick) => h('button.octave', { type: 'button', 'aria-label': name, title: name, onclick }, text);
    this.number = h('button.number', { type: 'button', 'aria-expanded': 'false', onclick: () => this.choose(!this.choosing) });
    this.map = h('div.map', { onclick: (e) => {
      const op = e.target.closest('[data-op]');
      if (op) this.select(op.dataset.op - 1);
    } });
    this.rows = OPERATORS.map((i) => this.row(i));
    this.grid = this.algorithms();
    this.operators = h('div.operators', { role: 'group', 'aria-label': 'Operators' }, ...this.rows.map((r) => r.node));
    this.which = h('b', {});
    this.task = h('span.note', {});
    const fix = () => this.turn('fixed', 1 - this.values.fixed[this.selected], this.selected);
    this.fixed = h('button.toggle.words', { type: 'button', onclick: fix }, 'Fixed frequency');
    this.own = ['ratio', 'fixed_hz', 'detune_cents', 'attack_s', 'decay_s', 'sustain', 'release_s'].map((name, i) => this.fresh(
      this.knobOf(name, { typed: i < 3, set: (v) => this.turn(name, v, this.selected) })));
    return h('div.face', {},
      h('div.fm6', {},
        h('div.algorithm', {}, this.map,
          h('div.stepper', {}, button('Algorithm before', '‹', step(-1)), this.number, button('Next algorithm', '›', step(1)))),
        this.operators, this.grid),
      h('div.operator-head', {}, h('span', {}, this.which, ' ', this.task), this.fixed),
      this.ownKnobs = h('div.knobs.own', { role: 'group' }, ...this.own.map((k) => k.node)));
  }

  row(i) {
    const badge = h('button.badge', { type: 'button', onclick: () => this.select(i) }, String(i + 1));
    const tuning = h('span.tuning', { onclick: () => this.select(i) });
    const level = this.fresh(this.knobOf('level', { label: `Level of operator ${i + 1}`, set: (v) => this.turn('level', v, i) }));
    const line = svg('path', {}), shape = svg('svg', { viewBox: '0 0 100 26', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, line);
    shape.addEventListener('click', () => this.select(i));
    badge.onkeydown = (e) => {
      const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: 5 }[e.key];
      if (!(to in OPERATORS)) return;
      e.preventDefault();
      e.stopPropagation();
      this.select(to);
      this.rows[to].badge.focus();
    };
    return { badge, tuning, level, line, node: h('div.operator', {}, badge, tuning, level.node, shape) };
  }

  // All 32, as one group of radio buttons.
  algorithms() {
    this.radios = DSP.ALGORITHMS.map((algorithm, i) => h('button.algorithm-choice', {
      type: 'button', role: 'radio', 'aria-label': `Algorithm ${i + 1}: ${label(algorithm)}`,
      onclick: () => { this.turn('algorithm', i + 1); this.choose(false); },
    }, diagram(algorithm), h('span', {}, String(i + 1))));
    return h('div.algorithms', { role: 'radiogroup', 'aria-label': 'Algorithm', hidden: true, onkeydown: (e) => {
      const at = this.values.algorithm - 1, [first] = this.radios;
      const across = this.radios.filter((r) => r.offsetTop === first.offsetTop).length;
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: 31 }[e.key];
      if (e.key === 'Escape') this.choose(false); else if (to === undefined) return;
      e.preventDefault();
      e.stopPropagation();
      if (!this.radios[to]) return;
      this.turn('algorithm', to + 1);
      this.radios[to].focus();
    } }, ...this.radios);
  }

  choose(on) {
    const inside = this.grid.contains(this.shadowRoot.activeElement);
    this.choosing = on;
    this.grid.hidden = !on;
    this.operators.hidden = on;
    this.number.setAttribute('aria-expanded', on);
    if (on) this.radios[this.values.algorithm - 1].focus({ preventScroll: true });
    else if (inside || !this.shadowRoot.activeElement) this.number.focus({ preventScroll: true });
  }

  select(i) {
    this.selected = i;
    this.show();
  }

  resetFace() {
    super.resetFace();
    this.rows.forEach((row, i) => row.level.reset(this.values.level[i]));
  }

  show() {
    const v = this.values, i = this.selected, algorithm = DSP.ALGORITHMS[v.algorithm - 1], { carriers, edges } = algorithm;
    const state = [v.algorithm, i].join();
    if (state !== this.drawn) {
      this.drawn = state;
      this.number.textContent = `Algorithm ${v.algorithm}`;
      this.map.replaceChildren(diagram(algorithm, i + 1));
      this.radios.forEach((radio, k) => {
        radio.setAttribute('aria-checked', k + 1 === v.algorithm);
        radio.tabIndex = k + 1 === v.algorithm ? 0 : -1;
      });
      const modulated = edges.filter((e) => e[0] === i + 1).map((e) => e[1]);
      this.which.textContent = `Operator ${i + 1}`;
      this.ownKnobs.setAttribute('aria-label', `Operator ${i + 1}`);
      this.task.textContent = carriers.includes(i + 1) ? 'sounds' : `modulates ${modulated.join(', ').replace(/, (?!.*,)/, ' and ')}`;
      this.rows.forEach(({ badge, node }, k) => {
        const carrier = carriers.includes(k + 1);
        node.classList.toggle('carrier', carrier);
        node.classList.toggle('on', k === i);
        badge.setAttribute('aria-pressed', k === i);
        badge.setAttribute('aria-label', `Operator ${k + 1}, ${carrier ? 'carrier' : 'modulator'}`);
      });
    }
    const envelopes = OPERATORS.map((k) => [v.attack_s[k], v.decay_s[k], v.sustain[k], v.release_s[k], v.curve]);
    const axis = Math.max(...envelopes.map(envelopeSpan));  // all six share it
    this.rows.forEach(({ tuning, line }, k) => {
      tuning.textContent = v.fixed[k] ? hertz(v.fixed_hz[k]) : READ.ratio(v.ratio[k]);
      line.setAttribute('d', envelopePath(envelopes[k], axis));
    });
    this.fixed.setAttribute('aria-pressed', !!v.fixed[i]);
    for (const knob of this.own) {
      if (knob.value !== v[knob.name][i]) knob.reset(v[knob.name][i]);
      knob.node.hidden = knob.name === (v.fixed[i] ? 'ratio' : 'fixed_hz') || (knob.name === 'detune_cents' && !!v.fixed[i]);
    }
  }

  longest(name) {  // of the carriers
    return Math.max(...DSP.ALGORITHMS[this.values.algorithm - 1].carriers.map((op) => this.values[name][op - 1]));
  }
  tail() { return 0.1 + this.longest('release_s'); }

  sketch(n, f0) {  // once the slowest carrier has risen
    const skip = Math.round(this.rate * Math.min(2, 0.02 + this.longest('attack_s'))), out = new Float64Array(n + skip);
    new DSP.FM6Voice(this.values, this.rate, f0).add(out, 0, n + skip);
    return out.subarray(skip);
  }
}
FM6.synth = 'fm6';
define('ddsp-fm6', FM6);
