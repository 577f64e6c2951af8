"What the machine costs over the plain torch loop that it replaces: one step of matching, 16 six-operator voices of a second."
import pytest
import torch
from ddsp_book.fm6 import FM6Op
from ddsp_book.machine import Follow, Machine, box
from ddsp_book.spectral import MultiScaleSpectralLoss

pytestmark = pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
synth, loss = FM6Op(), MultiScaleSpectralLoss(n_ffts=(1024, 256))
GENERATOR = torch.Generator().manual_seed(0)
START = torch.rand(16, synth.panel.size, generator=GENERATOR)
START[:, 0] = 0.14  # one algorithm for all
TARGET = loss.analyse(synth(synth.panel.from_unit(START[:1]), 16000))


def render(vector): return synth(synth.panel.from_unit(vector), 16000)


def plain():
    vector = START.clone().requires_grad_()
    optimizer = torch.optim.Adam([vector], lr=0.02)
    def step():
        optimizer.zero_grad()
        loss.each(render(vector), TARGET).sum().backward()
        optimizer.step()
        with torch.no_grad(): vector.clamp_(0, 1)
    return step


def machine():
    return Machine(START, render, lambda y: {"cost": loss.each(y, TARGET)}, Follow(lr=0.02), [box()]).step


@pytest.mark.parametrize("loop", [plain, machine])
@pytest.mark.benchmark(group="a step of matching: the machine and the plain loop")
def test_step(benchmark, loop): benchmark.pedantic(loop(), rounds=30, warmup_rounds=3)
