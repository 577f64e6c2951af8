// Runs a synth of makeDSP() live: in the audio thread where the browser allows it, else in this one.

// The audio thread's whole program is the text of makeDSP and makeDecoder, and this processor. `events` (sample, method,
// arguments) are for offline rendering, where messages would come too late.
const workletText = () => `
  const DSP = (${makeDSP})();
  Object.assign(DSP, (${makeDecoder})(DSP));
  registerProcessor('ddsp-synth', class extends AudioWorkletProcessor {
    constructor({ processorOptions: { synth, patch, events = [] } }) {
      super();
      this.synth = new DSP.synths[synth](patch, sampleRate);
      this.events = events;
      this.now = 0;
      this.alive = true;
      this.port.onmessage = ({ data: [method, ...values] }) => {
        if (method === 'close') this.alive = false; else this.synth[method](...values);
      };
    }
    process(inputs, [[out]]) {
      let from = 0;
      while (from < out.length) {
        while (this.events.length && this.events[0][0] <= this.now + from) {
          const [, method, ...values] = this.events.shift();
          this.synth[method](...values);
        }
        const to = this.events.length ? Math.min(out.length, this.events[0][0] - this.now) : out.length;
        this.synth.process(out.subarray(from, to));
        from = to;
      }
      this.now += out.length;
      return this.alive;
    }
  });`;

const loaded = new WeakMap();  // context → promise; a processor's name can be registered only once
async function synthNode(context, processorOptions) {
  if (!loaded.has(context)) {
    const url = location.protocol === 'file:'  // where blobs belong to nobody and may not be loaded
      ? `data:text/javascript,${encodeURIComponent(workletText())}`
      : URL.createObjectURL(new Blob([workletText()], { type: 'text/javascript' }));
    loaded.set(context, context.audioWorklet.addModule(url).finally(() => URL.revokeObjectURL(url)));
  }
  await loaded.get(context);
  return new AudioWorkletNode(context, 'ddsp-synth', { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
}

// Without an AudioWorklet (plain http away from localhost), the same synth renders ahead into short
// buffers that are started end to end: a little later to answer, otherwise the same sound.
class BufferPump {
  constructor(context, synth, patch, destination) {
    this.synth = new DSP.synths[synth](patch, context.sampleRate);
    this.block = Math.round(context.sampleRate / 50);
    this.next = 0;
    this.timer = setInterval(() => {
      if (context.state !== 'running') return;
      this.next = Math.max(this.next, Math.ceil((context.currentTime + 0.03) * context.sampleRate));
      while (this.next < (context.currentTime + 0.12) * context.sampleRate) {
        const buffer = new AudioBuffer({ length: this.block, sampleRate: context.sampleRate });
        this.synth.process(buffer.getChannelData(0));
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(destination);
        source.start(this.next / context.sampleRate);
        this.next += this.block;
      }
    }, 15);
  }
  call([method, ...values]) { this.synth[method](...values); }
  close() { clearInterval(this.timer); }
}

// engine.call('noteOn', 'a', 440, 1): calls made before the audio thread is ready wait in line.
class Engine {
  constructor(synth, patch, rate) {
    const { context, input } = output(rate);
    this.context = context;
    this.volume = new GainNode(context, { gain: 0.8 });
    this.volume.connect(input);
    this.waiting = [];
    this.start(synth, patch);
  }

  async start(synth, patch) {
    let target;
    try {
      if (!this.context.audioWorklet) throw new Error('no AudioWorklet here');
      const node = await synthNode(this.context, { synth, patch });
      node.connect(this.volume);
      target = { call: (message) => node.port.postMessage(message), close: () => { node.port.postMessage(['close']); node.disconnect(); } };
      this.kind = 'worklet';
    } catch (error) {
      target = new BufferPump(this.context, synth, patch, this.volume);
      this.kind = 'buffers';
    }
    if (this.closed) { target.close(); return; }
    this.target = target;
    this.waiting.splice(0).forEach((message) => target.call(message));
  }

  call(...message) { if (this.target) this.target.call(message); else this.waiting.push(message); }
  setVolume(v) { this.volume.gain.setTargetAtTime(Math.min(1, v), this.context.currentTime, 0.01); }
  close() {
    this.closed = true;
    this.volume.disconnect();
    if (this.target) this.target.close();
  }
}
