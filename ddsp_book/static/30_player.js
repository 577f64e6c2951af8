// <ddsp-player>: hear a sound, see it, go anywhere in it.
// Players, A/B comparisons and scrubbers are the same deck with other controls: they share this base.

class Deck extends Widget {
  // Reads the <audio> children: the only place where the data is.
  async load() {
    const audios = [...this.querySelectorAll('audio')];
    if (!audios.length) throw new Error('no <audio> inside');
    this.rate = +audios[0].dataset.rate || 44100;
    this.tracks = await Promise.all(audios.map(async (audio, i) => ({
      buffer: await decode(audio.currentSrc || audio.src || audio.querySelector('source').src, this.rate),
      gainDb: +audio.dataset.gainDb || 0,
      name: audio.dataset.name || `Sound ${i + 1}`,
      data: audio.dataset,
    })));
    const loudest = ({ buffer, gainDb }) => gain(gainDb) * buffer.getChannelData(0).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    this.peak = Math.max(1e-4, ...this.tracks.map(loudest));
    this.transport = new Transport(this.tracks, this.rate, (what) => this.changed(what));
    audios.forEach((audio) => audio.pause());
  }

  async build(root) {
    this.deck = h('div.deck', {
      role: 'group', 'aria-label': this.getAttribute('caption') || 'Sound', onkeydown: (e) => this.keydown(e),
    });
    root.append(this.deck);
    this.playButton = h('button.play', { type: 'button', onclick: () => this.transport.toggle() });
    this.display = new Display(this, {
      label: 'Position',
      onseek: (f) => this.transport.seek(f * this.transport.duration),
    });
    this.loopButton = this.toggle('Loop', (on) => this.transport.setLoop(on), icon(ICON.loop));
    this.clock = h('span.clock', { 'aria-hidden': 'true' });
    this.footer = h('div.footer', {}, this.caption(), h('span.tools', {}, this.clock, this.loopButton));
    this.display.node.prepend(this.playButton);
    this.deck.append(this.display.node, this.footer);
    await this.load();
    this.show(0);
    this.compose();
    this.changed('seek');
  }

  compose() {}

  toggle(name, onchange, ...content) {
    return h('button.toggle', {
      type: 'button', 'aria-pressed': 'false', 'aria-label': name, title: name,
      onclick: (e) => {
        const on = e.currentTarget.getAttribute('aria-pressed') !== 'true';
        e.currentTarget.setAttribute('aria-pressed', on);
        onchange(on);
      },
    }, ...content);
  }

  show(i) {
    const { buffer, level } = this.transport.tracks[i];
    this.display.show(buffer, level / this.peak);
  }

  changed() {
    const { playing } = this.transport;
    this.playButton.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    this.playButton.replaceChildren(icon(playing ? ICON.pause : ICON.play));
    this.toggleAttribute('playing', playing);
    this.tick();
  }

  // The playhead follows the sound, less what the loudspeaker is behind.
  tick() {
    cancelAnimationFrame(this.frame);
    const { transport } = this, late = transport.playing ? transport.run.context.outputLatency || 0 : 0;
    const t = Math.max(0, transport.position - late);
    this.display.moveTo(t, transport.playing);
    this.clock.textContent = `${seconds(t)} / ${seconds(transport.duration)} s`;
    if (transport.playing) this.frame = requestAnimationFrame(() => this.tick());
  }

  keydown(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || !this.transport) return;
    const onButton = e.composedPath()[0].tagName === 'BUTTON';
    if (onButton && (e.key === ' ' || e.key === 'Enter')) { e.stopPropagation(); return; }  // the button's own
    const action = this.action(e.key);
    if (!action) return;
    e.preventDefault();
    e.stopPropagation();
    action();
  }

  action(key) {
    const { transport } = this, step = transport.duration / 40;
    return {
      ' ': () => transport.toggle(),
      Enter: () => transport.toggle(),
      ArrowLeft: () => transport.seek(transport.position - step),
      ArrowRight: () => transport.seek(transport.position + step),
      Home: () => transport.seek(0),
      End: () => transport.seek(transport.duration),
    }[key];
  }

  redraw() { if (this.display) this.display.draw(); }
  stop() { if (this.transport) this.transport.pause(); }
}

define('ddsp-player', class extends Deck {});
