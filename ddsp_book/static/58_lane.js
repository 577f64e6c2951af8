// A curve over time to draw into, with the mouse, a finger or the arrow keys.
// {label, read(value), heard(i), pull, push: what an arrow key and a page key change}; its view is {low, high,
// lines: [[value, text], …]}.

const GUTTER = 50;  // pixels for the scale
class Lane {
  constructor(host, spec, onchange) {
    Object.assign(this, { host, onchange, cursor: 0, playhead: -1 }, spec);
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.node = h('div.lane', { role: 'slider', tabindex: 0, 'aria-label': spec.label, title: 'Drag to draw; or arrow keys' }, this.canvas);
    this.node.onpointerdown = (e) => {
      if (e.button) return;
      e.preventDefault();
      this.node.setPointerCapture(e.pointerId);
      this.node.focus({ preventScroll: true });
      this.last = null;
      this.down = true;
      this.paintTo(e);
    };
    this.node.onpointermove = (e) => { if (this.down) this.paintTo(e); };
    this.node.onpointerup = this.node.onpointercancel = () => { this.down = false; };
    this.node.onkeydown = (e) => this.key(e);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  load(values, view = {}) {
    Object.assign(this, view);
    this.values = values;
    this.cursor = Math.min(this.cursor, values.length - 1);
    this.say();
  }

  paintTo(e) {
    const box = this.node.getBoundingClientRect(), n = this.values.length;
    const i = clamp(Math.round((e.clientX - box.left - GUTTER) / (box.width - GUTTER) * (n - 1)), 0, n - 1);
    const v = this.high - (this.high - this.low) * clamp((e.clientY - box.top) / box.height, 0, 1);
    const [i0, v0] = this.last || [i, v];
    for (let j = Math.min(i, i0); j <= Math.max(i, i0); j++) {  // a fast stroke leaves no gaps
      this.values[j] = j === i ? v : v0 + (v - v0) * (j - i0) / (i - i0);
    }
    this.last = [i, v];
    this.cursor = i;
    this.changed();
  }

  // Left and right walk along the curve; up and down pull it there, and what is near comes along.
  key(e) {
    const n = this.values.length, step = Math.max(1, Math.round(n / 50));
    const go = { ArrowLeft: -step, ArrowRight: step, Home: -n, End: n }[e.key];
    const pull = { ArrowUp: this.pull, ArrowDown: -this.pull, PageUp: this.push, PageDown: -this.push }[e.key];
    if (e.ctrlKey || e.metaKey || e.altKey || !(go || pull)) return;
    e.preventDefault();
    e.stopPropagation();
    if (go) this.cursor = clamp(this.cursor + go, 0, n - 1);
    for (let d = -2 * step; pull && d <= 2 * step; d++) {
      const i = this.cursor + d, v = this.values[i], way = (e.shiftKey ? 0.2 : 1) * pull * (0.5 + 0.5 * Math.cos(Math.PI * d / (2 * step)));
      if (i >= 0 && i < n) this.values[i] = clamp(v + way, Math.min(v, this.low), Math.max(v, this.high));
    }
    if (pull) this.changed(); else this.say();
  }

  changed() {
    this.onchange();
    this.say();
  }

  say() {
    const value = this.values[this.cursor], at = seconds(this.cursor * this.host.hopS);
    const now = { valuemin: this.low, valuemax: this.high, valuenow: value.toFixed(2), valuetext: `${this.read(value)} at ${at} s` };
    for (const key in now) this.node.setAttribute(`aria-${key}`, now[key]);
    this.draw();
  }

  draw() {
    if (!this.values) return;
    const { ink, accent, warm } = palette(this.host);
    paint(this.canvas, (g, w, height) => {
      const { values, low, high } = this, x = (i) => GUTTER + i / Math.max(1, values.length - 1) * (w - GUTTER), y = (v) => height * clamp((high - v) / (high - low), 0, 1);
      g.font = `11px ${getComputedStyle(this.host).fontFamily}`;
      g.fillStyle = ink;
      g.textAlign = 'right';
      for (const [value, text] of this.lines) {
        g.globalAlpha = 0.14;
        g.fillRect(GUTTER, y(value), w - GUTTER, 1);
        g.globalAlpha = 0.76;
        g.fillText(text, GUTTER - 6, clamp(y(value) + 4, 9, height - 2));
      }
      const line = (from, to, alpha) => {
        g.globalAlpha = alpha;
        g.beginPath();
        for (let i = from; i <= to; i++) g.lineTo(x(i), y(values[i]));
        g.stroke();
      };
      g.strokeStyle = accent;
      g.lineWidth = 1.8;
      g.lineJoin = 'round';
      line(0, values.length - 1, 0.35);
      for (let i = 0, from = 0; i <= values.length; i++) {  // strong where one hears it
        if (i < values.length && this.heard(i)) continue;
        if (i - from > 1) line(from, i - 1, 1);
        from = i + 1;
      }
      g.globalAlpha = 1;
      g.fillStyle = warm;
      if (this.playhead >= 0) g.fillRect(x(this.playhead) - 0.75, 0, 1.5, height);
      g.beginPath();
      g.arc(Math.min(x(this.cursor), w - 5), clamp(y(values[this.cursor]), 5, height - 5), 4.5, 0, 7);
      g.fill();
    });
  }
}
