// What all widgets share on the screen: building DOM, colours that follow the page, lazy canvases.

// h('button.play', {'aria-label': 'Play', onclick}, 'text', child, …)
function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node[key] = value;
    else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((c) => c != null));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const icon = (d) => svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('path', { d }));
const ICON = {
  play: 'M8 5.2v13.6a.8.8 0 0 0 1.2.7l11-6.8a.8.8 0 0 0 0-1.4l-11-6.8A.8.8 0 0 0 8 5.2z',
  pause: 'M7 5h3.6v14H7zM13.4 5H17v14h-3.6z',
  loop: 'M17 2l4 4-4 4V7H8a4 4 0 0 0-4 4v1H2v-1a6 6 0 0 1 6-6h9zM7 22l-4-4 4-4v3h9a4 4 0 0 0 4-4v-1h2v1a6 6 0 0 1-6 6H7z',
};

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const seconds = (t) => t.toFixed(2);
const reducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// 1, 2 or 5 times a power of ten: the smallest such step that is at least x.
function niceStep(x) {
  const ten = 10 ** Math.floor(Math.log10(x));
  return ten * [1, 2, 5, 10].find((m) => m * ten >= x * 0.999);
}

// --- colours ------------------------------------------------------------------------------------
// Everything is drawn in the page's own ink (currentColor), so it fits whatever ground the page or
// the notebook has. Canvases cannot inherit, so they are drawn again when the theme turns.
const live = new Set();  // all widgets in the page
function watchPage() {
  const redraw = () => requestAnimationFrame(() => live.forEach((widget) => widget.redraw()));
  const theme = new MutationObserver(redraw);
  theme.observe(document.documentElement, { attributeFilter: ['data-theme', 'class'] });
  theme.observe(document.body, { attributeFilter: ['data-jp-theme-light', 'class'] });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  const left = () => live.forEach((widget) => widget.left());  // a key let go elsewhere would never end
  addEventListener('blur', left);
  document.addEventListener('visibilitychange', () => { if (document.hidden) left(); });
  // Touching is no permission to sound, lifting the finger is: what waits for it starts then.
  const wake = () => outputs.forEach(({ context }) => { if (context.state === 'suspended') context.resume(); });
  for (const event of ['pointerup', 'touchend', 'keydown']) addEventListener(event, wake, { capture: true, passive: true });
}

// Any CSS colour → [r, g, b], by asking a canvas.
function rgb(colour) {
  const g = h('canvas', { width: 1, height: 1 }).getContext('2d');
  g.fillStyle = colour;
  g.fillRect(0, 0, 1, 1);
  return [...g.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}
function palette(node) {
  const style = getComputedStyle(node);
  return { ink: style.color, accent: style.getPropertyValue('--accent').trim() || '#3584c8', warm: style.getPropertyValue('--warm').trim() || '#d9701a' };
}

// Sizes a canvas to its box in device pixels, then draws in CSS pixels.
function paint(canvas, draw) {
  const { clientWidth: w, clientHeight: height } = canvas, dpr = devicePixelRatio || 1;
  if (!w) return;
  canvas.width = Math.round(w * dpr);
  canvas.height = Math.round(height * dpr);
  const g = canvas.getContext('2d');
  g.scale(dpr, dpr);
  draw(g, w, height);
}

// --- the base of all elements -------------------------------------------------------------------
// The light DOM is the fallback that Python wrote. A widget covers it with a shadow tree; if it
// cannot do its work it uncovers it again, so there is never an empty player.
let sheet = null;
class Widget extends HTMLElement {
  connectedCallback() {
    if (document.readyState === 'loading') {  // our children may not have been parsed yet
      document.addEventListener('DOMContentLoaded', () => this.connectedCallback(), { once: true });
      return;
    }
    if (!live.size && !sheet) watchPage();
    live.add(this);
    if (this.shadowRoot) { this.redraw(); return; }  // notebooks take outputs out and put them back
    this.setAttribute('data-lm-suppress-shortcuts', 'true');  // in JupyterLab, keys play and do not edit cells
    if (!sheet) { sheet = new CSSStyleSheet(); sheet.replaceSync(DDSP_CSS); }
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    Promise.resolve().then(() => this.build(root)).then(
      () => this.setAttribute('ready', ''),
      (error) => this.uncover(error));
  }

  disconnectedCallback() { live.delete(this); this.stop(); }

  uncover(error) {
    this.setAttribute('failed', error.message);
    this.shadowRoot.replaceChildren(h('slot'), this.caption());
  }

  caption() { return h('p.caption', {}, this.getAttribute('caption') || ''); }

  redraw() {}  // the theme turned
  left() {}    // the reader went to another window
  stop() {}    // the widget left the page
}

function define(name, element) {
  if (!customElements.get(name)) customElements.define(name, element);
}
