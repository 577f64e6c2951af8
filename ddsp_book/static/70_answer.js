// <ddsp-answer>: a question with a number for an answer, judged in the page.

// All numbers that a text can mean: '1,000.5', '1.000,5', '0,5', '466.2 Hz', '1.2 kHz', '−3e-2'.
// '1,000' is a thousand to some and one to others, so it means both.
function parseAnswer(text, unit = '') {
  let s = text.trim().replace(/[−–]/g, '-').replace(/[\s_'’]/g, ''), scale = 1;
  const u = unit.replace(/\s/g, '');
  if (u && s.toLowerCase().endsWith(u.toLowerCase())) {
    s = s.slice(0, -u.length);
    const prefix = { k: 1e3, M: 1e6, m: 1e-3, µ: 1e-6, μ: 1e-6 }[s.at(-1)];
    if (prefix && /^(Hz|s|m|V|W)$/.test(u)) { s = s.slice(0, -1); scale = prefix; }
  }
  const readings = new Set();
  const read = (t) => { if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(t)) readings.add(scale * Number(t)); };
  const grouped = (mark) => new RegExp(`^[+-]?\\d{1,3}(\\${mark}\\d{3})+(?!\\d|\\${mark})`).test(s);
  read(s);                                                        // 1000.5
  if (grouped(',')) read(s.replace(/,/g, ''));                    // 1,000.5
  if (grouped('.')) read(s.replace(/\./g, '').replace(',', '.')); // 1.000,5
  if (!s.includes('.')) read(s.replace(',', '.'));                // 1000,5
  return [...readings];
}

define('ddsp-answer', class extends Widget {
  build(root) {
    const unit = this.getAttribute('unit') || '', label = unit ? `Your answer in ${unit}` : 'Your answer';
    this.input = h('input', { type: 'text', inputmode: 'decimal', autocomplete: 'off', 'aria-label': label, size: 10 });
    this.feedback = h('p.feedback', { 'aria-live': 'polite' });
    // No <form>: a page or a notebook may stand inside one.
    this.input.onkeydown = (e) => {
      e.stopPropagation();
      if (e.key === 'Enter') { e.preventDefault(); this.judge(); }
    };
    this.input.oninput = () => this.feedback.replaceChildren();
    const details = this.querySelector('details');
    if (details) details.slot = 'solution';
    root.append(h('div.answer', {},
      h('slot'),
      h('div.field', {}, this.input, h('span.unit', {}, unit),
        h('button.word', { type: 'button', onclick: () => this.judge() }, 'Check'), this.feedback),
      h('slot', { name: 'solution' })));
  }

  judge() {
    const value = +this.getAttribute('value'), tolerance = +(this.getAttribute('tolerance') || 0.01);
    const band = tolerance * (Math.abs(value) || 1);  // relative, as Python says it
    const readings = parseAnswer(this.input.value, this.getAttribute('unit') || '');
    const off = readings.map((x) => x - value).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
    const verdict = off === undefined ? 'unclear' : Math.abs(off) <= band * (1 + 1e-9) ? 'right' : off < 0 ? 'low' : 'high';
    const near = Math.abs(off) <= Math.max(4 * band, 0.05 * Math.abs(value)) ? 'A little too' : 'Too';
    const words = { unclear: this.input.value.trim() ? 'That is not a number I can read.' : 'Type a number.', right: 'Right.', low: `${near} low.`, high: `${near} high.` };
    this.setAttribute('verdict', verdict);
    this.feedback.className = `feedback ${verdict}`;
    this.feedback.replaceChildren(words[verdict]);
  }
});
