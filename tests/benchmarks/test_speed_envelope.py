"""ADSR against the plain clamp formula and torchsynth, in one run: `make bench`.
The bracketed figures are the ratios. Two threads, float32, eager."""
import sys, types
import pytest
import torch
from ddsp_book.envelope import adsr

BATCH, SIZE, N, RATE = 16, 6, 16000, 16000

def drawn(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    def between(low, high):
        values = low + (high - low) * torch.rand(BATCH, SIZE, generator=generator, dtype=torch.float64)
        return values.to(dtype).requires_grad_()
    return [between(0.002, 0.2), between(0.02, 0.5), between(0, 1), between(0.02, 0.5), between(0.1, 0.8)]

def plain(attack_s, decay_s, sustain, release_s, note_s):
    "The formula as one would write it: ramps that are clamped, with straight lines only."
    attack_s, decay_s, sustain, release_s, note_s = (
        v[..., None] for v in (attack_s, decay_s, sustain, release_s, note_s))
    t = torch.arange(N, dtype=attack_s.dtype) / RATE
    held = torch.minimum(t, note_s)
    rise = (held / attack_s).clamp(0, 1)
    fall = ((held - attack_s) / decay_s).clamp(0, 1)
    gone = ((t - note_s) / release_s).clamp(0, 1)
    return (rise - (1 - sustain) * fall) * (1 - gone)

def plain_bent(*stages, curve=3.0):
    "The same with exponential ramps, one curve for all."
    attack_s, decay_s, sustain, release_s, note_s = (v[..., None] for v in stages)
    t = torch.arange(N, dtype=attack_s.dtype) / RATE
    held, k = torch.minimum(t, note_s), -torch.expm1(torch.tensor(-curve))
    def bend(x): return (1 - torch.exp(-curve * x.clamp(0, 1))) / k
    rise, fall, gone = bend(held / attack_s), bend((held - attack_s) / decay_s), bend((t - note_s) / release_s)
    return (rise - (1 - sustain) * fall) * (1 - gone)

def ours(*stages, curve=0.0): return adsr(N, RATE, *stages, curve=curve)

def torchsynth():
    "torchsynth's ADSR at its control rate of 250 Hz and brought up to the sample rate, for 96 voices."
    stand_in = types.ModuleType("pytorch_lightning.core.lightning")  # it imports what is gone from Lightning
    stand_in.LightningModule = torch.nn.Module
    for name in ("pytorch_lightning", "pytorch_lightning.core"): sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules.setdefault("pytorch_lightning.core.lightning", stand_in)
    config = pytest.importorskip("torchsynth.config").SynthConfig(
        batch_size=BATCH * SIZE, sample_rate=RATE, buffer_size_seconds=1.0, control_rate=250, reproducible=False)
    module = pytest.importorskip("torchsynth.module")
    envelope = module.ADSR(config)
    return envelope, module.ControlRateUpsample(config)

SIZE_SAID = f"[{BATCH}, {SIZE}, {N}], float32, 2 threads"
WAYS = {"blocks": ours, "plain clamp formula": plain}
BENT = {"blocks": lambda *s: ours(*s, curve=3.0), "plain clamp formula": plain_bent}

def agree(way, ways):
    weights = torch.randn(BATCH, SIZE, N, generator=torch.Generator().manual_seed(1))
    def all_of(way, dtype):
        stages = drawn(dtype)
        y = way(*stages)
        return [y.detach(), *torch.autograd.grad(y, stages, weights.to(dtype))]
    for a, b in zip(all_of(ways[way], torch.float32), all_of(ways["plain clamp formula"], torch.float64)):
        assert (a - b).abs().max() < 1e-5 * b.abs().max(), "both compute the same"

def measure(benchmark, way, ways, backward):
    agree(way, ways)
    stages, weights = drawn(), torch.randn(BATCH, SIZE, N)
    def step():
        y = ways[way](*stages)
        return torch.autograd.grad(y, stages, weights) if backward else y
    benchmark.pedantic(step, rounds=15, iterations=1, warmup_rounds=3)

@pytest.mark.benchmark(group=f"straight ADSR {SIZE_SAID}: forward")
@pytest.mark.parametrize("way", WAYS)
def test_forward(benchmark, way): measure(benchmark, way, WAYS, False)

@pytest.mark.benchmark(group=f"straight ADSR {SIZE_SAID}: forward + backward")
@pytest.mark.parametrize("way", WAYS)
def test_forward_backward(benchmark, way): measure(benchmark, way, WAYS, True)

@pytest.mark.benchmark(group=f"bent ADSR {SIZE_SAID}: forward + backward")
@pytest.mark.parametrize("way", BENT)
def test_bent(benchmark, way): measure(benchmark, way, BENT, True)

@pytest.mark.benchmark(group=f"straight ADSR {SIZE_SAID}: forward + backward")
def test_torchsynth(benchmark):
    envelope, upsample = torchsynth()
    on = torch.full((BATCH * SIZE,), 0.4)
    weights = torch.randn(BATCH * SIZE, N)
    def step():
        y = upsample(envelope(on))
        return torch.autograd.grad(y.as_subclass(torch.Tensor), [p for p in envelope.parameters()], weights, allow_unused=True)
    benchmark.pedantic(step, rounds=15, iterations=1, warmup_rounds=3)
