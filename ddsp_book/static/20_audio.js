// What all widgets share of Web Audio: one output per sample rate, decoding, and a transport that
// plays several recordings in step.

// One AudioContext per rate, made on the first gesture. Running at the recording's own rate leaves
// resampling to the browser's output stage, which is far better than that of its buffer players.
const outputs = new Map();
function output(rate) {
  if (!outputs.has(rate)) {
    const context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
    // The end of every graph: a guard rail at full scale that changes nothing below it.
    const input = new WaveShaperNode(context, { curve: [-1, 0, 1] });
    const analyser = new AnalyserNode(context, { fftSize: 4096 });
    input.connect(analyser).connect(context.destination);
    outputs.set(rate, { context, input, analyser });
  }
  const out = outputs.get(rate);
  if (out.context.state !== 'running') out.context.resume();
  return out;
}

// Only one thing on a page sounds at a time: whoever starts takes the stage, and the last one pauses.
let onStage = null;
function takeStage(performer) {
  if (onStage && onStage !== performer) onStage.pause();
  onStage = performer;
}

// Decoding in an OfflineAudioContext needs no gesture. Data URIs are unpacked by hand, because a
// page opened by double-click, or one with a strict policy, may not fetch().
async function decode(src, rate) {
  const data = /^data:[^,]*;base64,/.exec(src);
  const bytes = data
    ? Uint8Array.from(atob(src.slice(data[0].length)), (c) => c.charCodeAt(0)).buffer
    : await (await fetch(src)).arrayBuffer();
  return new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
}

const gain = (db) => 10 ** (Math.min(0, db) / 20);  // players may turn down, never up

class Transport {
  // tracks: [{buffer, gainDb}], played in step; one of them is heard.
  constructor(tracks, rate, onchange) {
    this.rate = rate;
    this.onchange = onchange;
    this.duration = Math.max(...tracks.map((t) => t.buffer.duration));
    const length = Math.max(...tracks.map((t) => t.buffer.length));
    this.tracks = tracks.map(({ buffer, gainDb }) => {
      if (buffer.length === length) return { buffer, level: gain(gainDb) };
      const { numberOfChannels, sampleRate } = buffer;  // all loops must be equally long to stay in step
      const padded = new AudioBuffer({ length, numberOfChannels, sampleRate });
      for (let c = 0; c < numberOfChannels; c++) padded.copyToChannel(buffer.getChannelData(c), c);
      return { buffer: padded, level: gain(gainDb) };
    });
    this.heard = 0;
    this.rest = 0;      // where playing goes on, in seconds
    this.run = null;    // the sounding nodes
    this.looping = false;
  }

  get playing() { return this.run !== null; }

  get position() {
    if (!this.run) return this.rest;
    const t = this.run.context.currentTime - this.run.origin;
    return this.looping ? t % this.duration : Math.min(t, this.duration);
  }

  play(from = this.position) {
    takeStage(this);
    this.halt();
    const { context, input } = output(this.rate), now = context.currentTime;
    if (from > this.duration - 0.01) from = 0;
    const fade = new GainNode(context, { gain: 0 });
    fade.gain.linearRampToValueAtTime(1, now + (from > 0 ? 0.005 : 0.001));  // no click in mid-sound
    fade.connect(input);
    const voices = this.tracks.map(({ buffer, level }, i) => {
      const source = new AudioBufferSourceNode(context, { buffer, loop: this.looping });
      const volume = new GainNode(context, { gain: i === this.heard ? level : 0 });
      source.connect(volume).connect(fade);
      source.start(now, from);
      return { source, volume, level };
    });
    const run = this.run = { context, fade, voices, origin: now - from };
    voices[0].source.onended = () => {
      if (this.run !== run) return;
      this.run = null;
      this.rest = 0;
      this.onchange('ended');
    };
    this.onchange('play');
  }

  halt() {
    if (!this.run) return;
    const { context, fade, voices } = this.run, now = context.currentTime;
    this.rest = this.position;
    this.run = null;
    fade.gain.cancelScheduledValues(now);
    fade.gain.setTargetAtTime(0, now, 0.003);
    for (const { source } of voices) source.stop(now + 0.02);
  }

  pause() {
    if (!this.run) return;
    this.halt();
    this.onchange('pause');
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  seek(t) {
    t = Math.max(0, Math.min(this.duration, t));
    if (this.playing) this.play(t); else { this.rest = t; this.onchange('seek'); }
  }

  // Changes what is heard and keeps the place: a 10 ms crossfade between sources that already run.
  select(i) {
    this.heard = i;
    if (this.run) {
      const now = this.run.context.currentTime;
      this.run.voices.forEach(({ volume, level }, j) => {
        volume.gain.cancelScheduledValues(now);
        volume.gain.setValueAtTime(volume.gain.value, now);
        volume.gain.linearRampToValueAtTime(j === i ? level : 0, now + 0.01);
      });
    }
    this.onchange('select');
  }

  setLoop(on) {
    if (this.run) {
      this.run.origin = this.run.context.currentTime - this.position;  // forget the laps already run
      for (const { source } of this.run.voices) source.loop = on;
    }
    this.looping = on;
  }
}

// 16-bit mono WAV, for downloads.
function encodeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, s) => [...s].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, 'RIFF'); view.setUint32(4, 36 + 2 * samples.length, true); text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, 'data'); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, x))), true));
  return new Blob([view], { type: 'audio/wav' });
}
