"""How fast the subtractive synth is, forwards and backwards, against its own plain parts and torchsynth's Voice, in one run: `make bench`.
The bracketed figures are the ratios. float32, 2 threads, 16 × 1 s at 16 kHz."""
import sys, types

import pytest
import torch
from ddsp_book import subtractive
from ddsp_book.subtractive import SubtractiveSynth

B, N, RATE = 16, 16000, 16000
torch.set_num_threads(2)
pytestmark = pytest.mark.filterwarnings("ignore")

SYNTH = SubtractiveSynth(RATE)
draw = torch.Generator().manual_seed(0)
PATCH = SYNTH.panel.random(B, draw) | {"note_s": torch.full((B,), 0.7), "f0_hz": 55 * 16 ** torch.rand(B, generator=draw)}  # A1…A5, the rest anywhere
INPUTS = {name: value.requires_grad_() for name, value in PATCH.items() if name != "filter"}
G = torch.randn(B, N, generator=draw)


def ours(): return SYNTH(PATCH, N)

def plain_parts():
    "The same, of chapters 9 and 10 as they are."
    swift, subtractive._swift = subtractive._swift, lambda x: False
    try: return SYNTH(PATCH, N)
    finally: subtractive._swift = swift

def torchsynth_voice():
    "Two oscillators, noise, two LFOs, six envelopes; no filter, and edges that alias."
    pytest.importorskip("torchsynth")
    lightning = types.ModuleType("pytorch_lightning.core.lightning")  # what it imports is long gone
    lightning.LightningModule = type("LightningModule", (torch.nn.Module,), {"device": torch.device("cpu")})
    known = sys.modules.setdefault("pytorch_lightning.core.lightning", lightning)
    known.LightningModule = lightning.LightningModule
    from torchsynth.config import SynthConfig
    from torchsynth.synth import Voice
    voice = Voice(SynthConfig(B, RATE, N / RATE, reproducible=False))
    assert voice.output().shape == (B, N)
    return voice.output

VOICES = {"ours": lambda: ours, "plain parts": lambda: plain_parts, "torchsynth 1.0.2 Voice": torchsynth_voice}

def gradients(render):
    for x in INPUTS.values(): x.grad = None
    y = render()
    y.backward(G)
    return y.detach(), {name: x.grad.clone() for name, x in INPUTS.items()}

@pytest.mark.benchmark(group="subtractive synth, 16 × 1 s at 16 kHz, forward + backward", min_rounds=7, warmup=True, warmup_iterations=2)
@pytest.mark.parametrize("name", VOICES)
def test_voices(benchmark, name):
    render = VOICES[name]()
    benchmark(lambda: render().backward(G))
    if name != "ours": return
    (y, got), (plain, expected) = gradients(ours), gradients(plain_parts)
    assert (y - plain).abs().max() < 1e-4
    for knob in INPUTS: assert (got[knob] - expected[knob]).norm() <= 2e-2 * expected[knob].norm() + 1e-6, knob

@pytest.mark.benchmark(group="the same, forward only", min_rounds=7, warmup=True, warmup_iterations=2)
@pytest.mark.parametrize("name", VOICES)
def test_voices_forward(benchmark, name):
    render = VOICES[name]()
    with torch.no_grad(): benchmark(render)
