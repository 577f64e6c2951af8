// The two doors: `render` for live notebooks (anywidget), `globalThis.ddsp` for anybody curious.

function render({ model, el }) {
  const show = () => { el.innerHTML = model.get('html'); };  // the elements upgrade themselves
  show();
  model.on('change:html', show);
  return () => model.off('change:html', show);
}

globalThis.ddsp = { makeDSP, synthNode, output, encodeWav, validatePatch, parseAnswer, byChance, render };
