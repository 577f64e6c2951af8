"""Filters against the per-sample loop, torchaudio and torchlpc, in one run: `make bench`.
The bracketed figures are the ratios. Two threads, float32, forward + backward unless said."""
import pytest
import torch
from torchaudio.functional import lfilter
from torchlpc import sample_wise_lpc
from ddsp_book.filters import biquad, lowpass, svf

N = FS = 16000

@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)

def sound(batch): return torch.randn(batch, N, generator=torch.Generator().manual_seed(0))

def knobs(batch, moving):
    cutoff_hz = torch.linspace(300, 4000, batch)
    if moving: cutoff_hz = cutoff_hz[:, None] * 2 ** torch.linspace(-1, 0.5, N)
    return cutoff_hz, torch.linspace(0.7, 5, batch)

def loop(x, b, a):
    "Per sample, as one would type it; autograd sees all."
    x1 = x2 = y1 = y2 = torch.zeros_like(x[:, 0])
    b, a = (v.movedim(-1, 0).unbind(-1) if v.ndim == 3 else x.shape[1] * [v.T] for v in (b, a))
    y = []
    for x0, (b0, b1, b2), (_, a1, a2) in zip(x.unbind(1), b, a):
        y0 = b0 * x0 + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        y.append(y0)
        x1, x2, y1, y2 = x0, x1, y0, y1
    return torch.stack(y, 1)

def torchaudio(x, b, a): return lfilter(x, a, b, clamp=False)

def torchlpc(x, b, a):
    "Three taps by hand, then torchlpc."
    past = torch.nn.functional.pad(x, (2, 0))
    u = b[..., 0] * x + b[..., 1] * past[:, 1:-1] + b[..., 2] * past[:, :-2]
    return sample_wise_lpc(u, a[..., 1:])

def recursion_only(x, b, a): return sample_wise_lpc(x, a[..., 1:])

STEADY = {"biquad": biquad, "torchaudio lfilter": torchaudio, "loop in Python": loop}
MOVING = {"biquad": biquad, "torchlpc": torchlpc, "torchlpc, recursion only": recursion_only, "loop in Python": loop}

def gradient_step(way, x, b, a):
    inputs, heard = [v.detach().clone().requires_grad_() for v in (x, b, a)], torch.ones_like(x)
    def step(): return torch.autograd.grad(way(*inputs), inputs, heard, allow_unused=True)
    return step

def agree(way, x, b, a):
    exact = biquad(x.double(), b.double(), a.double())
    assert (way(x, b, a) - exact).abs().max() < 1e-4 * exact.abs().max(), "all compute the same"

def measure(benchmark, way, step, name):
    slow = "loop" in name
    benchmark.pedantic(step, rounds=1 if slow else 15, iterations=1, warmup_rounds=0 if slow else 3)

@pytest.mark.benchmark(group="biquad that stands still, 8 × 1 s at 16 kHz")
@pytest.mark.parametrize("name", STEADY)
def test_steady(benchmark, name):
    x, (b, a) = sound(8), lowpass(*knobs(8, False), FS)
    agree(STEADY[name], x[:, :800], b, a)
    measure(benchmark, STEADY[name], gradient_step(STEADY[name], x, b, a), name)

@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("batch", [8, 16])
def test_moving(benchmark, name, batch):
    benchmark.group = f"biquad that moves with every sample, {batch} × 1 s at 16 kHz"
    x, (b, a) = sound(batch), lowpass(*knobs(batch, True), FS)
    if "only" not in name: agree(MOVING[name], x[:, :800], b[:, :800], a[:, :800])
    measure(benchmark, MOVING[name], gradient_step(MOVING[name], x, b, a), name)

WHOLE = {
    "biquad(lowpass)": lambda x, f, q: biquad(x, *lowpass(f, q, FS)),
    "svf": lambda x, f, q: svf(x, f, q, FS)[0],
}

@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("moving", [False, True], ids=["steady", "moving"])
def test_from_the_knobs(benchmark, name, moving):
    benchmark.group = f"from cutoff and Q to sound, {'moving' if moving else 'steady'}, 16 × 1 s at 16 kHz"
    inputs = [v.requires_grad_() for v in (sound(16), *knobs(16, moving))]
    exact = WHOLE["svf"](*(v.detach().double() for v in inputs))
    difference = (WHOLE[name](*inputs) - exact).detach().abs().max() / exact.abs().max()
    assert difference < (0.02 if moving else 1e-4), "the same while the cutoff hardly moves"
    def step(): return torch.autograd.grad(WHOLE[name](*inputs).sum(), inputs)
    measure(benchmark, None, step, name)
