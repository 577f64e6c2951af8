"What adapting costs: a step of AE-DDSP beside one of Adam in the same machine; and hearing with its own slope beside autograd's."
import pytest
import torch
from ddsp_book.adaptive import Hearing, ae_ddsp
from ddsp_book.machine import Follow, Machine, box
from ddsp_book.spectral import SpectralFeatures, feature_distance
from ddsp_book.subtractive import SubtractiveSynth

SYNTH = SubtractiveSynth(16000)
GENERATOR = torch.Generator().manual_seed(0)
START = torch.rand(12, SYNTH.panel.size, generator=GENERATOR)
TARGET = SYNTH(SYNTH.panel.from_unit(torch.rand(12, SYNTH.panel.size, generator=GENERATOR)), 8000) + 1e-3 * torch.randn(12, 8000, generator=GENERATOR)
HEAR = Hearing(TARGET, 16000)
FEATURES = [SpectralFeatures(n_ffts=(n,), hop_length=n // 4) for n in (1024, 4096)]


def render(knobs): return SYNTH(SYNTH.panel.from_unit(knobs), 8000)
def adam(): return Machine(START, render, HEAR, Follow(lr=0.02), [box()]).step
def adaptive(): return ae_ddsp(START, render, HEAR, tests=0).step
def adaptive_with_tests(): return ae_ddsp(START, render, HEAR).step


@pytest.mark.parametrize("loop", [adam, adaptive, adaptive_with_tests])
@pytest.mark.benchmark(group="a step: 12 voices of half a second")
def test_step(benchmark, loop): benchmark.pedantic(loop(), rounds=20, warmup_rounds=3)


def own(audio): return HEAR(audio)["cost"]
def by_autograd(audio): return sum(feature_distance(f(HEAR.gain * audio), f(HEAR.gain * TARGET)) for f in FEATURES)


@pytest.mark.parametrize("way", [own, by_autograd])
@pytest.mark.benchmark(group="hearing with its slope: 12 sounds of half a second")
def test_hear(benchmark, way):
    def slope():
        audio = TARGET.clone().mul_(0.5).requires_grad_()
        torch.autograd.grad(way(audio).sum(), audio)
    benchmark.pedantic(slope, rounds=20, warmup_rounds=3)
