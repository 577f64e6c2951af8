// Oscilloscope and spectrum, drawn from one stretch of sound.

const FLOOR = -90;  // dB: the bottom of the spectrum
const FOOT = 14;    // room for the frequencies below it
class Scopes {
  constructor(host, n) {
    this.host = host;
    this.fft = new DSP.RealFFT(n);
    this.head = 0;  // room above 0 dB
    this.wave = h('canvas.scope', { role: 'img', 'aria-label': 'Oscilloscope' });
    this.lines = h('canvas.spectrum', { role: 'img', 'aria-label': 'Spectrum' });
    this.node = h('div.views', {}, this.wave, this.lines);
  }

  draw(x, fs, periodS, alpha = 1) {
    const colours = palette(this.host);
    paint(this.wave, (g, w, height) => this.drawWave(g, w, height, x, 3 * periodS * fs, alpha, colours));
    paint(this.lines, (g, w, height) => this.drawSpectrum(g, w, height, x, fs, alpha, colours));
  }

  drawWave(g, w, height, x, span, alpha, { ink, accent }) {
    span = Math.min(x.length / 2, span);
    let start = 1, top = 0.05;
    while (start < x.length / 2 && !(x[start - 1] < 0 && x[start] >= 0)) start++;  // keeps the picture still
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
  }

  // Where a frequency stands, and which one stands at a pixel: logarithmic, as the ear has them.
  axis(w, fs) {
    const low = 50, ratio = fs / 2 / low;
    return { ticks: [100, 1000, 10000], place: (hz) => w * Math.log(hz / low) / Math.log(ratio), hz: (px) => low * ratio ** (px / w) };
  }

  // Decibels over frequency.
  drawSpectrum(g, w, height, x, fs, alpha, { ink, accent }) {
    const n = x.length, re = new Float64Array(n / 2 + 1), im = new Float64Array(n / 2 + 1);
    this.fft.forward(Float64Array.from(x, (v, i) => v * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / n))), re, im);
    const { ticks, place, hz: pitch } = this.axis(w, fs), bin = (px) => pitch(px) / fs * n, base = height - FOOT, { head } = this;
    const db = (k) => 10 * Math.log10((re[k] ** 2 + im[k] ** 2) / (n / 4) ** 2 + 1e-12);
    g.fillStyle = ink;
    g.font = `11px ${getComputedStyle(this.host).fontFamily}`;
    for (const hz of ticks) {
      if (hz > fs / 2) break;
      g.globalAlpha = 0.14;
      g.fillRect(place(hz), 0, 1, base);
      g.globalAlpha = 0.76;
      g.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, place(hz) - 14, height - 1);
    }
    g.globalAlpha = alpha;
    g.beginPath();
    for (let px = 0; px <= w; px++) {
      const from = bin(px), to = bin(px + 1), k = Math.floor(from);
      let level = db(k) + (from - k) * (db(Math.min(k + 1, n / 2)) - db(k));  // between two bins
      for (let j = k + 1; j < to && j <= n / 2; j++) level = Math.max(level, db(j));  // or the loudest of many
      g.lineTo(px, head + (base - head) * clamp(level / FLOOR, 0, 1));
    }
    g.strokeStyle = g.fillStyle = accent;
    g.lineWidth = 1.2;
    g.stroke();
    g.lineTo(w, base);
    g.lineTo(0, base);
    g.globalAlpha = alpha * 0.22;
    g.fill();
  }
}
