// <ddsp-scrubber>: the loss curve of a training run is a slider; wherever a checkpoint was kept, it
// sounds. Checkpoints play in step, so that scrubbing changes the sound and not the place in it.

const compact = (x) => (x === 0 ? '0' : Math.abs(x) >= 1e4 || Math.abs(x) < 1e-3
  ? x.toExponential(1).replace('e', '·10^').replace('+', '') : String(+x.toPrecision(3)));

define('ddsp-scrubber', class extends Deck {
  compose() {
    this.losses = JSON.parse(this.getAttribute('losses') || '[]').filter(([, loss]) => Number.isFinite(loss));
    this.lossLabel = this.getAttribute('loss-label') || 'Loss';
    this.steps = this.tracks.map((t) => +t.data.step);
    this.transport.setLoop(true);
    this.loopButton.setAttribute('aria-pressed', 'true');
    this.allButton = h('button.toggle.words', { type: 'button', onclick: () => this.playAll() }, 'Play the training');
    this.readout = h('div.readout', { 'aria-hidden': 'true' });
    this.plot = svg('svg', { 'aria-hidden': 'true' });
    this.curve = h('div.curve', {
      role: 'slider', tabindex: 0, 'aria-label': `Training step (${this.lossLabel})`,
      'aria-valuemin': this.steps[0], 'aria-valuemax': this.steps.at(-1),
    }, this.plot);
    this.deck.prepend(h('div.bar', {}, this.readout, this.allButton), this.curve);
    this.curve.onpointerdown = (e) => {
      if (e.button) return;
      this.curve.setPointerCapture(e.pointerId);
      this.dragging = true;
      this.listen(this.nearest(e));
    };
    this.curve.onpointermove = (e) => { if (this.dragging) this.listen(this.nearest(e)); };
    this.curve.onpointerup = this.curve.onpointercancel = () => { this.dragging = false; };
    this.curve.onkeydown = (e) => {
      const go = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -1e9, End: 1e9 }[e.key];
      if (!go || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      e.stopPropagation();
      this.listen(clamp(this.transport.heard + go, 0, this.steps.length - 1));
    };
    new ResizeObserver(() => this.drawCurve()).observe(this.curve);
    this.pick(this.steps.length - 1);
  }

  pick(i) {
    this.transport.select(i);
    this.show(i);
    const step = this.steps[i], loss = this.lossAt(step), text = loss == null ? '' : `${this.lossLabel} ${compact(loss)}`;
    this.curve.setAttribute('aria-valuenow', step);
    this.curve.setAttribute('aria-valuetext', `step ${step}, ${text}`);
    this.readout.replaceChildren(h('b', {}, `Step ${step}`), `  ${text}`);
    this.drawCurve();
  }

  listen(i) {
    this.all = false;
    if (i !== this.transport.heard) this.pick(i);
    if (!this.transport.playing) this.transport.play();
  }

  // Each checkpoint once from its beginning, from the first step to the last.
  playAll() {
    this.transport.setLoop(false);
    this.all = true;
    this.pick(0);
    this.transport.play(0);
  }

  changed(what) {
    if (this.all && what === 'ended' && this.transport.heard < this.steps.length - 1) {
      this.pick(this.transport.heard + 1);
      this.transport.play(0);
    } else if (this.all && (what === 'ended' || what === 'pause')) {
      this.all = false;
      this.transport.setLoop(this.loopButton.getAttribute('aria-pressed') === 'true');
    }
    super.changed(what);
  }

  lossAt(step) {
    const after = this.losses.findIndex(([s]) => s >= step);
    return (this.losses[after] || this.losses.at(-1) || [])[1];
  }

  // Steps are drawn on a logarithmic axis where the checkpoints crowd at the beginning, as they do
  // when they were kept at 0, 10, 100, 1000; losses where they span more than a factor of 20.
  scales() {
    const { losses, steps } = this, { clientWidth: w, clientHeight: height } = this.curve;
    const last = Math.max(steps.at(-1), losses.length ? losses.at(-1)[0] : 0) || 1;
    const warp = steps[steps.length >> 1] < last / 5 ? Math.log1p : (s) => s;
    const values = losses.map(([, loss]) => loss), low = Math.min(...values), high = Math.max(...values);
    const log = low > 0 && high / low > 20, f = log ? Math.log : (v) => v;
    const base = f(low), span = f(high) - base || 1;
    const left = this.display.screen.offsetLeft - this.curve.offsetLeft;  // in line with the waveform below
    const right = w - 7, top = 14, bottom = height - 24;
    return {
      low, high, log, left, right, top, bottom,
      x: (s) => left + (right - left) * warp(s) / warp(last),
      y: (v) => bottom - (bottom - top) * (f(v) - base) / span,
    };
  }

  nearest(e) {
    const x = e.clientX - this.curve.getBoundingClientRect().left, scale = this.scales();
    const away = this.steps.map((s) => Math.abs(scale.x(s) - x));
    return away.indexOf(Math.min(...away));
  }

  drawCurve() {
    if (!this.curve.clientWidth || !this.losses.length) return;
    const { low, high, log, left, right, top, bottom, x, y } = this.scales();
    const heard = this.steps[this.transport.heard];
    const text = (content, at, className) => svg('text', { ...at, class: className || '' }, content);
    const path = this.losses.map(([s, v], i) => `${i ? 'L' : 'M'}${x(s).toFixed(1)} ${y(v).toFixed(1)}`).join('');
    const parts = [
      text(compact(high), { x: left - 9, y: top + 4, 'text-anchor': 'end' }),
      text(log ? 'log' : '', { x: left - 9, y: (top + bottom) / 2 + 4, 'text-anchor': 'end' }),
      text(compact(low), { x: left - 9, y: bottom + 4, 'text-anchor': 'end' }),
      svg('path', { class: 'ground', d: `M${left} ${bottom}H${right}` }),
      svg('path', { class: 'fill', d: `${path}V${bottom}H${x(this.losses[0][0])}Z` }),
      svg('path', { class: 'loss', d: path }),
      svg('path', { class: 'now', d: `M${x(heard)} ${top - 8}V${bottom}` }),
    ];
    let free = -1e9;  // labels only where there is room for them
    this.steps.forEach((s, i) => {
      const on = i === this.transport.heard, loss = this.lossAt(s), wide = 4 * String(s).length;
      parts.push(svg('circle', { cx: x(s), cy: y(loss), r: on ? 6.5 : 4, class: on ? 'mark on' : 'mark' }));
      const lastLabel = x(this.steps.at(-1)) - 4 * String(this.steps.at(-1)).length - 6;
      if (i === this.steps.length - 1 || (x(s) - wide > free && x(s) + wide < lastLabel)) {
        const anchor = x(s) - wide < left - 12 ? 'start' : x(s) + wide > right + 7 ? 'end' : 'middle';
        const at = anchor === 'start' ? left - 3 : anchor === 'end' ? right + 7 : x(s);
        parts.push(text(String(s), { x: at, y: bottom + 18, 'text-anchor': anchor }, on ? 'on' : ''));
        free = x(s) + wide + 6;
      }
    });
    this.plot.replaceChildren(...parts);
  }
});
