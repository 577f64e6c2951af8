// <ddsp-map>: many patches as points of a plane. Points that lie together sound alike; each is rendered
// by the synth of this page when it is first wanted, so that no audio has to come with the page.

const MAP_RATE = 48000, NEAR = 44;  // px: how far a finger may miss

// One sound, about as loud as its neighbours; and its end, without a click.
function strike(sound, end) {
  const x = Float32Array.from(sound), { context, input } = output(MAP_RATE), now = context.currentTime;
  const peak = x.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6), level = Math.min(4, 0.4 / peak);
  const buffer = new AudioBuffer({ length: x.length, sampleRate: MAP_RATE });
  buffer.copyToChannel(x, 0);
  const source = new AudioBufferSourceNode(context, { buffer }), volume = new GainNode(context);
  volume.gain.setValueAtTime(level, now);
  volume.gain.setValueAtTime(level, now + Math.max(0, end - 0.03));
  volume.gain.linearRampToValueAtTime(0, now + end);
  source.connect(volume).connect(input);
  source.start(now);
  return { source, volume, context };
}

function hush({ source, volume, context }) {
  const now = context.currentTime;
  volume.gain.cancelScheduledValues(now);
  volume.gain.setTargetAtTime(0, now, 0.004);
  source.stop(now + 0.03);
}

const MAP_COLOURS = ['#3584c8', '#d9701a', '#2e9e5b', '#a35fc4', '#d9485f', '#8a8f98'];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

define('ddsp-map', class extends Widget {
  build(root) {
    const data = JSON.parse(this.querySelector('script[type="application/json"]').textContent);
    const { knobs } = PANELS[data.synth], size = knobs.reduce((sum, k) => sum + k.size, 0), count = data.vectors.length;
    this.voice = { fm6: DSP.renderFM6, subtractive: DSP.renderSubtractive }[data.synth];
    const inside = (row, length, top) => row.length === length && row.every((x) => x >= 0 && x <= top);
    if (!data.vectors.every((row) => inside(row, size, 10000)) || !data.places.every((row) => inside(row, 2, 1))
      || data.places.length !== count) throw new Error('This is not a map.');
    Object.assign(this, { data, knobs, sounds: new Map(), at: -1, run: null, only: -1 });

    this.status = h('span.status', { role: 'status' }, `${count} sounds: click one, or use the arrow keys.`);
    this.follow = h('button.toggle.words', { type: 'button', 'aria-pressed': 'false', onclick: () => {
      this.follow.setAttribute('aria-pressed', this.follow.getAttribute('aria-pressed') === 'false');
    } }, 'Hear what you point at');
    this.keep = h('button.word', { type: 'button', disabled: true, onclick: () => this.save() }, 'Save patch');
    this.dots = data.vectors.map((_, i) => svg('circle', {
      id: `p${i}`, role: 'option', 'aria-selected': 'false', 'aria-label': this.spoken(i), fill: this.colour(data.groups[i]),
      class: data.marked.includes(i) ? 'dot marked' : 'dot',
    }));
    this.labels = data.marked.map((i) => svg('text', { 'aria-hidden': 'true' }, data.names[i]));
    this.ring = svg('circle', { class: 'ring', cx: 18, cy: 18, r: 11, visibility: 'hidden' });
    this.sheet = svg('svg', { role: 'presentation' }, ...this.dots, ...this.labels, this.ring);
    this.plane = h('div.plane', { tabindex: 0, role: 'listbox', 'aria-label': this.getAttribute('alt') || 'Map of sounds' }, this.sheet);
    this.plane.onkeydown = (e) => this.key(e);
    this.plane.onfocus = () => { if (this.at < 0) this.choose(0, false); };
    this.plane.onpointerdown = (e) => { if (e.pointerType === 'mouse' && e.button === 0) this.point(e, NEAR); };
    this.plane.onclick = (e) => { if (e.pointerType !== 'mouse') this.point(e, NEAR); };  // a finger may be scrolling
    this.plane.onpointermove = (e) => {
      if (e.pointerType !== 'mouse') return;
      if (e.buttons === 1 || this.follow.getAttribute('aria-pressed') === 'true') this.point(e, NEAR / 2, true);
    };
    const legend = data.group_names.map((name, g) => {
      const swatch = h('i', { 'aria-hidden': 'true' });
      swatch.style.background = this.colour(g);
      return h('button.group', { type: 'button', 'aria-pressed': 'false', onclick: () => this.show(g) },
        swatch, `${name} `, h('span.note', {}, String(data.groups.filter((x) => x === g).length)));
    });
    this.legend = h('div.legend', { role: 'group', 'aria-label': 'Show one group', hidden: !legend.length }, ...legend);
    root.append(h('div.deck.chart', {}, h('div.bar', {}, this.status), this.plane, this.legend,
      h('div.footer', {}, this.caption(), h('span.tools', {}, this.follow, this.keep))));
    new ResizeObserver(() => this.lay()).observe(this.plane);
    this.lay();
  }

  colour(group) { return MAP_COLOURS[group % MAP_COLOURS.length] || MAP_COLOURS[0]; }

  spoken(i) {
    const { names, groups, group_names } = this.data;
    return [names[i], group_names[groups[i]], `${i + 1} of ${names.length}`].filter(Boolean).join(' · ');
  }

  // --- where the points are: in pixels, so that dots stay round and as large as a dot should be
  lay() {
    const w = this.plane.clientWidth, high = Math.round(clamp(0.6 * w, 340, 540)), edge = 18;
    if (!w || w === this.wide) return;
    this.wide = w;
    this.sheet.setAttribute('viewBox', `0 0 ${w} ${high}`);
    this.spots = this.data.places.map(([x, y]) => [edge + x * (w - 2 * edge), edge + y * (high - 2 * edge)]);
    this.dots.forEach((dot, i) => {
      const [x, y] = this.spots[i];
      for (const [key, value] of [['cx', x.toFixed(1)], ['cy', y.toFixed(1)], ['r', w < 500 ? 4.5 : 5.5]]) dot.setAttribute(key, value);
    });
    this.name(w);
    if (this.at >= 0) this.circle();
  }

  // Names stand beside their dots, or above or below; where there is no room, the status line has to do.
  name(w) {
    const taken = this.data.marked.map((i) => [this.spots[i][0] - 7, this.spots[i][1] - 7, 14, 14]);
    const meets = ([x, y, a, b]) => taken.some(([u, v, c, d]) => x < u + c && u < x + a && y < v + d && v < y + b);
    this.labels.forEach((label, k) => {
      const [x, y] = this.spots[this.data.marked[k]], long = 6.6 * label.textContent.length;
      const spots = [[x + 10, y - 7], [x - 10 - long, y - 7], [x - long / 2, y - 22], [x - long / 2, y + 8]];
      const free = spots.find(([u, v]) => u > 2 && u + long < w - 2 && !meets([u, v, long, 14]));
      label.style.display = free ? '' : 'none';
      if (!free) return;
      taken.push([...free, long, 14]);
      label.setAttribute('x', free[0] + long / 2);
      label.setAttribute('y', free[1] + 11);
      label.setAttribute('text-anchor', 'middle');
    });
  }

  circle() {
    const [x, y] = this.spots[this.at];
    this.ring.setAttribute('cx', x);
    this.ring.setAttribute('cy', y);
    this.ring.setAttribute('visibility', 'visible');
  }

  // --- choosing
  point(e, reach, moving = false) {
    const box = this.sheet.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
    const far = this.spots.map(([px, py], i) => (this.shown(i) ? Math.hypot(px - x, py - y) : Infinity));
    const best = far.indexOf(Math.min(...far));
    if (far[best] <= reach && !(moving && best === this.at)) this.choose(best);
  }

  shown(i) { return this.only < 0 || this.data.groups[i] === this.only; }

  // The nearest point that lies more that way than to either side.
  neighbour(i, [dx, dy]) {
    const [x, y] = this.spots[i];
    let best = i, least = Infinity;
    this.spots.forEach(([px, py], k) => {
      const along = (px - x) * dx + (py - y) * dy, across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      const far = Math.hypot(along, across);
      if (k !== i && this.shown(k) && along > 0 && across <= along && far < least) [best, least] = [k, far];
    });
    return best;
  }

  key(e) {
    const { length } = this.dots, now = Math.max(this.at, 0);
    const turn = (step) => {
      let k = now;
      do k = (k + step + length) % length; while (!this.shown(k) && k !== now);
      return k;
    };
    let to;
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key in ARROWS) to = this.neighbour(now, ARROWS[e.key]);
    else if (e.key === 'PageDown') to = turn(1);
    else if (e.key === 'PageUp') to = turn(-1);
    else if (e.key === 'Enter' || e.key === ' ') to = now;
    else return;
    e.preventDefault();
    e.stopPropagation();
    this.choose(to);
  }

  choose(i, sound = true) {
    if (this.at >= 0) this.dots[this.at].setAttribute('aria-selected', 'false');
    this.at = i;
    this.dots[i].setAttribute('aria-selected', 'true');
    this.plane.setAttribute('aria-activedescendant', `p${i}`);
    this.keep.disabled = false;
    this.status.textContent = this.spoken(i);
    this.circle();
    if (sound) this.play(i);
  }

  show(group) {
    this.only = this.only === group ? -1 : group;
    [...this.legend.children].forEach((button, g) => button.setAttribute('aria-pressed', g === this.only));
    this.dots.forEach((dot, i) => dot.classList.toggle('dim', !this.shown(i)));
    this.labels.forEach((label, k) => label.classList.toggle('dim', !this.shown(this.data.marked[k])));
  }

  // --- sounding
  patch(i) {
    let from = 0;
    const values = {}, { synth, names, origin, vectors } = this.data;
    for (const { name, low, high, size, curve } of this.knobs) {
      const row = vectors[i].slice(from, from += size).map((u) => CURVES[curve][0](u / 10000, low, high));
      values[name] = size === 1 ? row[0] : row;
    }
    return { format: 'ddsp_book.patch', version: 1, synth, name: String(names[i]), origin, values };
  }

  render(i) {
    if (!this.sounds.has(i)) this.sounds.set(i, this.voice(this.patch(i), MAP_RATE, Math.round(this.data.seconds * MAP_RATE)));
    return this.sounds.get(i);
  }

  play(i) {
    takeStage(this);
    this.pause();
    this.run = strike(this.render(i), this.data.seconds);
    this.ring.classList.remove('sounds');
    if (!reducedMotion()) requestAnimationFrame(() => this.ring.classList.add('sounds'));
  }

  pause() {
    if (this.run) hush(this.run);
    this.run = null;
  }

  left() { this.pause(); }
  stop() { this.pause(); }

  save() {
    const patch = this.patch(this.at), name = patch.name.replace(/[^\w-]+/g, '_').slice(0, 60) || 'patch';
    const link = h('a', { href: URL.createObjectURL(new Blob([JSON.stringify(patch, null, 1)], { type: 'application/json' })), download: `${name}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.status.textContent = `Saved ${name}.json`;
  }
});
