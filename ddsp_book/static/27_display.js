// Waveform over spectrogram, drawn when it first scrolls into view; also the slider that seeks.

const ROWS = 160;       // frequency resolution of the picture
const COLUMNS = 900;    // and its resolution in time
const RANGE_DB = 75;

// Levels in [0, 1], ROWS × columns, from the top frequency down. A row shows the loudest of the bins
// that fall into it, so that no narrow line is lost.
function spectrogram(samples) {
  const n = 1024, bins = n / 2, fft = new DSP.RealFFT(n);
  const columns = Math.min(COLUMNS, Math.max(60, Math.ceil(samples.length / 64)));
  const window = Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * (i + 0.5) / n));
  const x = new Float64Array(n), re = new Float64Array(bins + 1), im = new Float64Array(bins + 1);
  const power = new Float32Array(ROWS * columns);
  let top = 1e-12;
  for (let c = 0; c < columns; c++) {
    const start = Math.round((c + 0.5) / columns * samples.length) - n / 2;
    for (let i = 0; i < n; i++) x[i] = (samples[start + i] || 0) * window[i];
    fft.forward(x, re, im);
    for (let k = 0; k < bins; k++) {
      const row = ROWS - 1 - Math.floor(k / bins * ROWS), at = row * columns + c;
      power[at] = Math.max(power[at], re[k] * re[k] + im[k] * im[k]);
      top = Math.max(top, power[at]);
    }
  }
  return { columns, levels: power.map((p) => clamp(1 + 10 * Math.log10(p / top + 1e-12) / RANGE_DB, 0, 1)) };
}

class Display {
  // host: where colours come from; label: what a screen reader says; onseek: told where, from 0 to 1
  constructor(host, { label, onseek }) {
    this.host = host;
    this.quiet = h('canvas.wave');
    this.played = h('canvas.wave.played');
    this.picture = h('canvas.spectrogram');
    this.times = h('div.times', { 'aria-hidden': 'true' });
    this.pitch = h('div.pitch', { 'aria-hidden': 'true' });
    this.screen = h('div.screen', {
      role: 'slider', tabindex: 0, 'aria-label': label, 'aria-valuemin': 0, 'aria-valuenow': 0,
    }, this.quiet, this.played, this.picture, h('div.head'));
    this.node = h('div.display', {}, this.pitch, this.screen, this.times);

    const at = (e) => {
      const box = this.screen.getBoundingClientRect();
      return clamp((e.clientX - box.left) / box.width, 0, 1);
    };
    this.screen.onpointerdown = (e) => {
      if (e.button) return;
      this.screen.setPointerCapture(e.pointerId);
      this.dragging = true;
      onseek(at(e));
    };
    this.screen.onpointermove = (e) => { if (this.dragging) onseek(at(e)); };
    this.screen.onpointerup = this.screen.onpointercancel = () => { this.dragging = false; };

    this.seen = false;
    new IntersectionObserver((entries, me) => {
      if (!entries.some((e) => e.isIntersecting)) return;
      me.disconnect();
      this.seen = true;
      new ResizeObserver(() => { this.drawWave(); this.drawTimes(); }).observe(this.screen);
      this.draw();
    }, { rootMargin: '300px' }).observe(this.node);
  }

  // scale: what to multiply by, so that the deck's loudest moment fills the height
  show(buffer, scale) {
    this.buffer = buffer;
    this.scale = scale;
    this.duration = buffer.duration;
    this.screen.setAttribute('aria-valuemax', buffer.duration.toFixed(2));
    this.draw();
  }

  // Moves the playhead: CSS only, nothing is redrawn.
  moveTo(t, playing) {
    this.node.classList.toggle('resting', !playing && t === 0);
    const text = `${seconds(t)} of ${seconds(this.duration)} seconds`;
    this.node.style.setProperty('--at', clamp(t / this.duration, 0, 1));
    if (this.screen.getAttribute('aria-valuetext') === text) return;
    this.screen.setAttribute('aria-valuenow', t.toFixed(2));
    this.screen.setAttribute('aria-valuetext', text);
  }

  draw() {
    if (!this.seen || !this.buffer) return;
    this.drawWave();
    this.drawPicture();
    this.drawTimes();
  }

  drawWave() {
    if (!this.buffer) return;
    const x = this.buffer.getChannelData(0), { accent, ink } = palette(this.host);
    const total = x.length;
    const stroke = (colour, alpha) => (g, w, height) => {
      const columns = Math.round(w * (devicePixelRatio || 1)), mid = height / 2;
      g.fillStyle = colour;
      for (let c = 0; c < columns; c++) {
        const from = Math.floor(c / columns * total), to = Math.max(from + 1, Math.floor((c + 1) / columns * total));
        let low = 1, high = -1, energy = 0;
        for (let i = from; i < to; i++) {
          const v = x[i] * this.scale;
          if (v < low) low = v;
          if (v > high) high = v;
          energy += v * v;
        }
        const rms = Math.sqrt(energy / (to - from)), left = c / columns * w, wide = w / columns;
        g.globalAlpha = alpha * 0.55;  // peaks, and inside them what the ear takes for loudness
        g.fillRect(left, mid - high * mid, wide, Math.max(0.75, (high - low) * mid));
        g.globalAlpha = alpha;
        g.fillRect(left, mid - rms * mid, wide, 2 * rms * mid);
      }
    };
    paint(this.quiet, stroke(ink, 0.42));
    paint(this.played, stroke(accent, 1));
  }

  drawPicture() {
    // Each recording is analysed once; A/B and the scrubber come back to them often.
    const cache = Display.cache, key = this.buffer;
    if (!cache.has(key)) cache.set(key, spectrogram(key.getChannelData(0)));
    const { columns, levels } = cache.get(key), { accent, ink } = palette(this.host);
    const from = rgb(accent), to = rgb(ink), image = new ImageData(columns, ROWS);
    levels.forEach((level, i) => {  // transparent → accent → ink: right on light and on dark ground
      const mix = clamp(level * 2 - 1, 0, 1);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = from[c] + mix * (to[c] - from[c]);
      image.data[4 * i + 3] = 255 * Math.min(1, level * 1.7) ** 1.6;
    });
    this.picture.width = columns;
    this.picture.height = ROWS;
    this.picture.getContext('2d').putImageData(image, 0, 0);
    const khz = this.buffer.sampleRate / 2000;
    this.pitch.replaceChildren(h('span', {}, `${+khz.toFixed(1)} kHz`), h('span', {}, '0'));
  }

  drawTimes() {
    const w = this.screen.clientWidth;
    if (!w || !this.duration) return;
    const step = niceStep(this.duration * 74 / w), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const marks = [];
    for (let i = 0; i * step < this.duration * 0.985; i++) {
      const t = i * step;
      marks.push(h('span', { style: `left:${100 * t / this.duration}%` }, i ? t.toFixed(digits) : '0 s'));
    }
    this.times.replaceChildren(...marks);
  }
}
Display.cache = new WeakMap();
