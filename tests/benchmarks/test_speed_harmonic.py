"""How fast the harmonic bank, the noise and the room are, against the formulas as one would type them: `make bench`.
The bracketed figures are the ratios. float32, 2 threads, 4 × 4 s at 16 kHz, 100 harmonics, controls at 250 Hz."""
import math, subprocess, sys

import pytest
import torch
from torchaudio.functional import fftconvolve
from ddsp_book.harmonic import FilteredNoiseGenerator, filter_noise, harmonic_bank, reverberate, upsample

B, F, HOP, K, RATE = 4, 1000, 64, 100, 16000
draw = torch.Generator().manual_seed(0)
F0_HZ = ((60 + 19 * torch.rand(B, 1, generator=draw)) * 2 ** (0.01 * torch.sin(torch.arange(F) / 8))).requires_grad_()
LEVELS = (torch.rand(B, F, K, generator=draw) / K).requires_grad_()
HEARD = torch.randn(B, F * HOP, generator=draw)


def plain(f0_hz, levels):
    "As typed: running sum, all sines in one table."
    radians = 2 * math.pi * upsample(f0_hz, HOP) / RATE
    phi = radians.cumsum(1) - radians
    return (upsample(levels, HOP) * torch.sin(phi[..., None] * torch.arange(1, levels.shape[-1] + 1))).sum(-1)

def loop(f0_hz, levels):
    "One harmonic at a time, phase wrapped in float64."
    cycles = upsample(f0_hz.double(), HOP) / RATE
    cycles = cycles.cumsum(1) - cycles
    return sum(upsample(levels[..., k - 1], HOP) * torch.sin(2 * math.pi * (k * cycles % 1).float()) for k in range(1, levels.shape[-1] + 1))

def ours(f0_hz, levels): return harmonic_bank(f0_hz, torch.ones_like(f0_hz), levels, RATE, HOP)

BANKS = {"ours": ours, "plain formula": plain, "one harmonic at a time": loop}

def both_ways(bank, f0_hz=F0_HZ, levels=LEVELS, heard=HEARD):
    y = bank(f0_hz, levels)
    return y, *torch.autograd.grad(y, (f0_hz, levels), heard)

def ratios_db(bank, known=[]):
    "How exact sound and gradients are, against float64."
    if not known: known.extend(both_ways(plain, F0_HZ.double(), LEVELS.double(), HEARD.double()))
    return [round(float(10 * torch.log10(x.detach().square().mean() / (x - y).detach().square().mean()))) for x, y in zip(known, both_ways(bank))]

GROUP = "harmonic bank, forward + backward"

@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("name", BANKS)
def test_bank(benchmark, name, record_property):
    benchmark.pedantic(both_ways, (BANKS[name],), rounds=20 if name == "ours" else 5, warmup_rounds=3 if name == "ours" else 1)
    exact = ratios_db(BANKS[name])
    record_property(f"{name}: dB against float64, sound and gradients to f0 and levels", exact)
    if name == "ours": assert min(exact) > 110

@pytest.mark.benchmark(group="the same, forward only")
@pytest.mark.parametrize("name", BANKS)
def test_bank_forward(benchmark, name):
    with torch.no_grad(): benchmark.pedantic(BANKS[name], (F0_HZ, LEVELS), rounds=20 if name == "ours" else 5, warmup_rounds=2)


MEMORY = """
import sys; sys.path.insert(0, {folder!r})
import test_speed_harmonic as t
def status(key): return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))
t.both_ways(t.BANKS[{name!r}], *(x[:1, :10 if x.shape[1] == t.F else 640].detach().clone().requires_grad_() for x in (t.F0_HZ, t.LEVELS, t.HEARD)))
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
before = status("VmRSS")
t.both_ways(t.BANKS[{name!r}])
print(status("VmHWM") - before)
"""

@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory(record_property):
    "Peak of a whole step above what the process held before, gradients included."
    from pathlib import Path
    def peak(name):
        code = MEMORY.format(folder=str(Path(__file__).parent), name=name)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(ran.stdout)
    own, typed = peak("ours"), peak("plain formula")
    record_property("peak memory of a step", f"ours {own:.1f} MB, plain formula {typed:.0f} MB [{typed / own:.0f} times]")
    assert own < typed / 40


@pytest.mark.benchmark(group="filtered noise, 65 bands, forward + backward")
@pytest.mark.parametrize("name", ["ours", "frames padded, folded one by one"])
def test_noise(benchmark, name):
    magnitudes = torch.rand(B, F, 65, generator=draw).requires_grad_()
    noise, generator = torch.rand(B, F * HOP, generator=draw) - 0.5, FilteredNoiseGenerator()
    def typed(magnitudes, noise):
        ir = torch.fft.irfft(magnitudes, 128).roll(64, -1) * torch.hann_window(128)
        pieces = torch.fft.irfft(torch.fft.rfft(noise.view(B, F, HOP), 256) * torch.fft.rfft(ir, 256), 256)
        folded = torch.nn.functional.fold(pieces.mT, (1, (F + 3) * HOP), (1, 256), stride=(1, HOP))
        return folded.view(B, -1)[:, 64:64 + F * HOP]
    way = generator if name == "ours" else typed
    benchmark(lambda: torch.autograd.grad(way(magnitudes, noise), magnitudes, HEARD))
    assert (typed(magnitudes, noise) - generator(magnitudes, noise)).abs().max() < 1e-4


@pytest.mark.benchmark(group="a room of 1 s, forward + backward")
@pytest.mark.parametrize("name", ["ours", "torchaudio fftconvolve"])
def test_reverb(benchmark, name):
    sound, ir = (torch.randn(n, generator=draw).requires_grad_() for n in ((B, F * HOP), (RATE,)))
    def theirs(sound, ir): return fftconvolve(sound, ir[None])[:, :F * HOP]
    way = reverberate if name == "ours" else theirs
    benchmark.pedantic(lambda: torch.autograd.grad(way(sound, ir), (sound, ir), HEARD), rounds=10, warmup_rounds=2)
    assert (theirs(sound, ir) - reverberate(sound, ir)).abs().max() < 1e-2


def wrapped(f0_hz, levels):
    "The plain formula as a compiler likes it: one expression, the phase wrapped in float64."
    steps = upsample(f0_hz.double(), HOP) / RATE
    cycles = steps.cumsum(1) - steps
    angle = (2 * math.pi * (cycles - cycles.round())).float()
    return (upsample(levels, HOP) * torch.sin(angle[..., None] * torch.arange(1, levels.shape[-1] + 1))).sum(-1)

@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("name", ["ours", "plain formula, phase wrapped"])
def test_compiled(benchmark, name, record_property):
    "Last, since the compiler's threads stay and slow down whatever comes after."
    torch._dynamo.reset()
    bank = torch.compile(ours if name == "ours" else wrapped)
    benchmark.pedantic(both_ways, (bank,), rounds=15, warmup_rounds=3)
    record_property(f"{name}, compiled: dB against float64", ratios_db(bank))
