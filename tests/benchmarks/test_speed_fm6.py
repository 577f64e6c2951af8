"""How fast six operators are, forwards and backwards, against the plain formula and torchsynth, in one run: `make bench`.
The bracketed figures are the ratios. float32, 2 threads."""
import sys, types

import pytest
import torch
from ddsp_book import algorithms
from ddsp_book.fm6 import FM6Op

B, N, RATE, TAU = 16, 16000, 16000, 6.283185307179586
pytestmark = pytest.mark.filterwarnings("ignore")

draw = torch.Generator().manual_seed(0)
def between(low, high): return (low + (high - low) * torch.rand(B, 6, generator=draw)).requires_grad_()
F_HZ, LEVEL, ATTACK, DECAY, SUSTAIN, RELEASE = (between(*limits) for limits in ((100, 900), (0.1, 0.25), (0.01, 0.1), (0.05, 0.3), (0.3, 0.9), (0.05, 0.2)))
NOTE = (0.6 + 0.2 * torch.rand(B, generator=draw)).requires_grad_()
INPUTS = [F_HZ, LEVEL, ATTACK, DECAY, SUSTAIN, RELEASE, NOTE]
CHAIN, FIRST = torch.diag(torch.ones(5), 1).expand(B, 6, 6), torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(B, 6)
G = torch.randn(B, N, generator=draw)
SYNTH = FM6Op(RATE)
PATCH = {**SYNTH.panel.defaults(B), "curve": torch.zeros(B)}


def plain():
    "The formula in PyTorch, one operator after the other, straight envelopes."
    t = torch.arange(N) / RATE
    note, attack, decay, sustain, release = NOTE[:, None, None], ATTACK[..., None], DECAY[..., None], SUSTAIN[..., None], RELEASE[..., None]
    held = torch.minimum(t, note)
    env = ((held / attack).clamp(0, 1) - (1 - sustain) * ((held - attack) / decay).clamp(0, 1)) * (1 - ((t - note) / release).clamp(0, 1))
    y = 0
    for i in range(5, -1, -1): y = LEVEL[:, i, None] * env[:, i] * torch.sin(TAU * (F_HZ[:, i, None] * t + y))
    return y


def ours():
    return SYNTH({**PATCH, "ratio": F_HZ / 220, "level": LEVEL, "attack_s": ATTACK, "decay_s": DECAY, "sustain": SUSTAIN, "release_s": RELEASE, "note_s": NOTE}, N, CHAIN, FIRST)


def torchsynth_voice():
    "torchsynth's sine into five FmVCOs, each with an ADSR at 250 Hz, brought to the sample rate."
    pytest.importorskip("torchsynth")
    lightning = types.ModuleType("pytorch_lightning.core.lightning")  # what it imports is long gone
    lightning.LightningModule = torch.nn.Module
    sys.modules.setdefault("pytorch_lightning.core.lightning", lightning)
    from torchsynth.config import SynthConfig
    from torchsynth.module import ADSR, ControlRateUpsample, FmVCO, SineVCO, VCA
    config = SynthConfig(B, RATE, 1.0, control_rate=250, reproducible=False)
    oscillators, envelopes = [SineVCO(config), *(FmVCO(config) for _ in range(5))], [ADSR(config) for _ in range(6)]
    vca, upsample, held, midi = VCA(config), ControlRateUpsample(config), torch.full((B,), 0.7), torch.full((B,), 60.0)
    def render():
        y = None
        for oscillator, envelope in zip(oscillators, envelopes):
            y = vca(oscillator(midi) if y is None else oscillator(midi, y), upsample(envelope(held)))
        return y
    return render


VOICES = {"ours": lambda: ours, "plain formula": lambda: plain, "torchsynth 1.0.2": torchsynth_voice}

def both_ways(render):
    for x in INPUTS: x.grad = None
    render().backward(G)

CHAIN_GROUP = "6 operators in a chain, an ADSR each, 16 × 1 s at 16 kHz, forward + backward"

@pytest.mark.benchmark(group=CHAIN_GROUP, min_rounds=15, warmup=True, warmup_iterations=3)
@pytest.mark.parametrize("name", VOICES)
def test_chain(benchmark, name): compare_chain(benchmark, name, VOICES[name]())

def compare_chain(benchmark, name, render):
    benchmark(both_ways, render)
    if name == "torchsynth 1.0.2": return  # frequency modulation at random settings: its own sound
    both_ways(render)
    gradients = [x.grad.clone() for x in INPUTS]
    both_ways(plain)
    assert (render() - plain()).abs().max() < 2e-3, "float32 phases of the plain formula are that far off"
    for got, x in zip(gradients, INPUTS): assert (got - x.grad).norm() < 5e-3 * x.grad.norm()

@pytest.mark.benchmark(group="the same, forward only", min_rounds=15, warmup=True, warmup_iterations=3)
@pytest.mark.parametrize("name", ["ours", "plain formula", "torchsynth 1.0.2"])
def test_chain_forward(benchmark, name):
    render = VOICES[name]()
    with torch.no_grad(): benchmark(render)


# Feedback ---------------------------------------------------------------------------------------

ANGLE = TAU * (F_HZ[:, :1].detach() * torch.arange(N) / RATE % 1)
STRENGTH = torch.full((B,), 0.9).requires_grad_()  # radians

def loop():
    "Sample by sample in PyTorch."
    last = before = torch.zeros(B)
    y = []
    for n in range(N):
        last, before = torch.sin(ANGLE[:, n] + STRENGTH * (last + before) / 2), last
        y.append(last)
    return torch.stack(y, 1)

ONLY_ONE = algorithms.Wiring(order=(0,), inputs=((),) * 6, loops=((0,),), carriers=(0,))

def operator():
    ones = torch.ones(B, 6)
    feedback = torch.cat([STRENGTH[:, None], torch.zeros(B, 5)], 1)
    return algorithms.Voices.apply(F_HZ.detach() / RATE, torch.ones(B, 6, N // 128, 1), torch.ones(B, 6, 1, 128), None, torch.zeros(B, 6, 6), feedback, ones, ONLY_ONE, N)

@pytest.mark.benchmark(group="an operator with feedback, 16 × 1 s at 16 kHz, forward + backward")
@pytest.mark.parametrize("name", ["ours, numba", "ours, pure torch", "loop over samples"])
def test_feedback(benchmark, name, monkeypatch):
    if name == "ours, pure torch": monkeypatch.setattr(algorithms, "compilable", lambda x: False)
    render = loop if name == "loop over samples" else operator
    def both():
        STRENGTH.grad = None
        render().backward(G)
        return STRENGTH.grad
    gradient = benchmark.pedantic(both, rounds=5, warmup_rounds=0 if render is loop else 2)
    if render is not loop:
        expected = loop_gradient()
        assert (gradient - expected).norm() < 2e-2 * expected.norm()

def loop_gradient(known=[]):
    if not known:
        STRENGTH.grad = None
        y = loop()
        y.backward(G)
        assert (operator() - y).abs().max() < 1e-3
        known.append(STRENGTH.grad.clone())
    return known[0]


@pytest.mark.benchmark(group=CHAIN_GROUP, min_rounds=15, warmup=True, warmup_iterations=3)
def test_compiled(benchmark):
    "Last, since the compiler's threads stay and slow down whatever comes after."
    compare_chain(benchmark, "plain formula, torch.compile", torch.compile(plain))
