// <ddsp-ab>: the same moment of two or more sounds, one key apart; and a blind test of whether one
// can tell them apart at all.

// The probability of at least `right` hits in `trials` by guessing among `ways`.
function byChance(right, trials, ways) {
  const p = 1 / ways;
  let total = 0, choose = 1;
  for (let k = 0; k <= trials; k++) {
    if (k >= right) total += choose * p ** k * (1 - p) ** (trials - k);
    choose *= (trials - k) / (k + 1);
  }
  return Math.min(1, total);
}

define('ddsp-ab', class extends Deck {
  compose() {
    const { tracks } = this;
    this.order = tracks.map((_, i) => i);  // button → track; shuffled in the blind test
    this.choices = tracks.map((_, i) => h('button.choice', { type: 'button', onclick: () => this.choose(i) }));
    this.blindButton = this.toggle('Blind test', (on) => (on ? this.startBlind() : this.endBlind()), 'Blind test');
    this.blindButton.classList.add('words');
    this.head = h('div.bar', {},
      h('div.choices', { role: 'group', 'aria-label': 'Listen to' }, ...this.choices), this.blindButton);
    this.quiz = h('div.quiz', { hidden: true, 'aria-live': 'polite' });
    this.deck.prepend(this.head);
    this.display.node.after(this.quiz);
    const turned = tracks.filter((t) => t.gainDb < -0.05)
      .map((t) => `${t.name} ${t.gainDb.toFixed(1).replace('-', '−')} dB`);
    if (turned.length) this.footer.querySelector('.caption').append(
      h('span.note', {}, ` Matched in level: ${turned.join(', ')}.`));
    this.label();
    this.transport.setLoop(true);  // one compares by going round
    this.loopButton.setAttribute('aria-pressed', 'true');
    this.choose(0);
  }

  label() {
    this.choices.forEach((button, i) => {
      const letter = this.blind ? String(i + 1) : 'ABCDEFGHI'[i];
      const name = this.blind ? `Sound ${i + 1}` : this.tracks[i].name;
      button.replaceChildren(h('b', {}, letter), name === letter ? '' : ` ${name}`);
    });
  }

  choose(i) {
    this.chosen = i;
    this.choices.forEach((button, j) => button.setAttribute('aria-pressed', i === j));
    this.transport.select(this.order[i]);
    if (!this.blind) this.show(this.order[i]);
  }

  action(key) {
    const i = /^[1-9]$/.test(key) ? key - 1 : 'abcdefghi'.indexOf(key.toLowerCase());
    if (key.length === 1 && i >= 0 && i < this.tracks.length) return () => this.choose(i);
    return super.action(key);
  }

  // Blind: names and pictures go (one sees the difference too easily), the order is shuffled at
  // every trial, and the score is set beside what guessing would bring.
  startBlind() {
    this.blind = true;
    this.trials = this.right = 0;
    this.toggleAttribute('blind', true);
    this.quiz.hidden = false;
    this.trial('');
  }

  endBlind() {
    this.blind = false;
    this.toggleAttribute('blind', false);
    this.quiz.hidden = true;
    this.order = this.tracks.map((_, i) => i);
    this.label();
    this.choose(0);
  }

  trial(verdict) {
    for (let i = this.order.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
    }
    this.label();
    this.choose(0);
    const guesses = this.order.map((_, i) => h('button.guess', { type: 'button', onclick: () => this.guess(i) }, `${i + 1}`));
    this.quiz.replaceChildren(h('p', {}, verdict, `Which one is “${this.tracks[0].name}”? `, h('span.guesses', {}, ...guesses)));
  }

  guess(i) {
    const hit = this.order[i] === 0;
    this.trials++;
    if (hit) this.right++;
    const percent = 100 * byChance(this.right, this.trials, this.tracks.length);
    const chance = percent < 0.1 ? 'less than 0.1' : percent < 10 ? percent.toFixed(1) : percent.toFixed(0);
    this.trial(`${hit ? 'Yes.' : `No, it was ${this.order.indexOf(0) + 1}.`} ${this.right} of ${this.trials} right; `
      + `guessing does as well ${chance} % of the time. `);
    this.quiz.querySelector('.guess').focus();
  }
});
