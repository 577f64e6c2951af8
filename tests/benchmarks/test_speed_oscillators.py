"""Oscillators against the plain sum of harmonics, a dense formula and torchsynth, in one run: `make bench`.
The bracketed figures are the ratios. Two threads, float32, eager."""
import math, sys, types
import pytest
import torch
from ddsp_book.fm import phase
from ddsp_book.oscillators import RESPONSE, mix, saw

BATCH, N, RATE = 16, 16000, 16000
PITCH = 110 * 2 ** (3 * torch.rand(BATCH, generator=torch.Generator().manual_seed(0)))  # 110 … 880 Hz
SIZE_SAID = f"[{BATCH}, {N}], float32, 2 threads"

@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)

def plain_sum(f_hz):
    "The sum of harmonics as one would write it: a table of harmonics by samples, for each tone."
    k = torch.arange(1, int(RATE / 2 / 110) + 1)[:, None, None]
    cycles = phase(f_hz, RATE, N)
    waves = -2 / (math.pi * k) * torch.sin(2 * math.pi * k * cycles) * (k * f_hz[:, None] < RATE / 2)
    return waves.sum(0)

def dense(f_hz):
    "The same blurred edges as ours, computed for every sample and left to autograd."
    cycles, delta = phase(f_hz, RATE, N), f_hz[:, None] / RATE
    d = cycles - cycles.detach().round()
    y = 2 * d
    for j in (0, 1, -1):  # neighbours overlap from 1000 Hz on
        x = ((d + j) / delta).clamp(-8, 8)
        step = x / 16 + sum(c / (math.pi * m) * torch.sin(m * math.pi / 8 * x) for m, c in enumerate(RESPONSE) if m)
        y = y - 2 * step
    return y

SAWS = {"edges": lambda f: saw(f, RATE, N), "edges, for every sample": dense,
        "sum, one harmonic at a time": lambda f: saw(f, RATE, N, method="additive"), "plain sum of harmonics": plain_sum}

def agree(way):
    f = PITCH.double()
    reference = {"edges": dense, "edges, for every sample": lambda f: saw(f, RATE, N)}.get(way, plain_sum)
    weights = torch.randn(BATCH, N, generator=torch.Generator().manual_seed(1))
    def both(function, f):
        leaf = f.clone().requires_grad_()
        y = function(leaf)
        return y.detach(), torch.autograd.grad(y, leaf, weights.to(f))[0]
    for a, b in zip(both(SAWS[way], f), both(reference, f)): assert (a - b).abs().max() < 1e-4 * b.abs().max(), "both compute the same"

def measure(benchmark, function, leaves, backward):
    def step():
        y = function(*leaves)
        return torch.autograd.grad(y.square().sum(), leaves) if backward else y.detach()
    benchmark.extra_info["size"] = SIZE_SAID
    benchmark.pedantic(step, rounds=15, iterations=1, warmup_rounds=3)

@pytest.mark.parametrize("way", SAWS)
@pytest.mark.benchmark(group=f"saw, forward, {SIZE_SAID}")
def test_saw_forward(benchmark, way):
    agree(way)
    measure(benchmark, SAWS[way], [PITCH.clone().requires_grad_()], False)

@pytest.mark.parametrize("way", SAWS)
@pytest.mark.benchmark(group=f"saw, forward and backward, {SIZE_SAID}")
def test_saw_backward(benchmark, way):
    agree(way)
    measure(benchmark, SAWS[way], [PITCH.clone().requires_grad_()], True)

# --- a whole oscillator: several shapes, moving pitch -------------------------------------------------------------

def torchsynth():
    "torchsynth's square-saw oscillator (a squashed sine: no edges, and not a saw), driven by a moving pitch."
    stand_in = types.ModuleType("pytorch_lightning.core.lightning")  # it imports what is gone from Lightning
    stand_in.LightningModule = torch.nn.Module
    for name in ("pytorch_lightning", "pytorch_lightning.core"): sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules.setdefault("pytorch_lightning.core.lightning", stand_in)
    config = pytest.importorskip("torchsynth.config").SynthConfig(
        batch_size=BATCH, sample_rate=RATE, buffer_size_seconds=1.0, control_rate=250, reproducible=False)
    module = pytest.importorskip("torchsynth.module")
    vco = module.SquareSawVCO(config)
    midi = 69 + 12 * torch.log2(PITCH / 440)
    return lambda f_hz: vco(midi, f_hz / 1e6)

def four_shapes(f_hz, *levels):
    return mix(f_hz, RATE, saw=levels[0], pulse=levels[1], triangle=levels[2], sine=levels[3], width=0.1 + 0.8 * levels[4])

@pytest.mark.parametrize("way", ["four shapes, moving pitch", "saw, moving pitch", "torchsynth SquareSawVCO"])
@pytest.mark.benchmark(group=f"moving pitch, forward and backward, {SIZE_SAID}")
def test_moving(benchmark, way):
    f_hz = (PITCH[:, None] * (1 + 0.01 * torch.sin(torch.arange(N) / 500))).requires_grad_()
    levels = [torch.rand(BATCH, generator=torch.Generator().manual_seed(i)).requires_grad_() for i in range(5)]
    if way.startswith("torchsynth"): measure(benchmark, torchsynth(), [f_hz], True)
    elif way.startswith("saw"): measure(benchmark, lambda f: saw(f, RATE), [f_hz], True)
    else: measure(benchmark, four_shapes, [f_hz, *levels], True)
