// The two doors: `render` for live notebooks (anywidget), `globalThis.ddsp` for anybody curious.

function render({ model, el }) {
  const show = () => { el.innerHTML = model.get('html'); };  // the elements upgrade themselves
  show();
  model.on('change:html', show);
  return () => model.off('change:html', show);
}

// Notebooks load this once per widget; the first copy registers the elements, so it stays the one in use.
globalThis.ddsp ??= { DSP, makeDSP, synthNode, output, encodeWav, readPatch, CURVES, sidebands, parseAnswer, byChance, Taste, spreadOut, render };
