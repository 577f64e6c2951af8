"What the machine costs elsewhere: a tick of 64 controllers beside the same arithmetic as a plain loop, a window of training beside torch's own."
import pytest
import torch
from ddsp_book.machine import Machine, box, multiply
from ddsp_book.worlds import PID, Bold, Course, Plant, Progress, Shares, Training, fresh_weights, network

START, ROWS = torch.tensor([2.5, 10.0, 0.25]), 64
X, Y = torch.randn(128, 2, generator=torch.Generator().manual_seed(0)), torch.randn(128, generator=torch.Generator().manual_seed(1))


def plant(): return Plant([0.03] * ROWS, [0.25] * ROWS, [1.0] * ROWS)


def fixed():
    pid, gains, goal = PID(plant(), 10), START.expand(ROWS, 3), torch.ones(1)
    return lambda: pid(gains, goal)


def learning():
    machine = Machine(START.expand(ROWS, 3), PID(plant(), 10), Course(), multiply(0.01), [box(START / 20, START * 20)], Shares())
    goal = torch.ones(1)
    return lambda: machine.step(goal)


@pytest.mark.parametrize("loop", [fixed, learning])
@pytest.mark.benchmark(group="a tick of 64 controllers: fixed gains, and gains that learn")
def test_tick(benchmark, loop): benchmark.pedantic(loop(), rounds=300, warmup_rounds=20)


def loss(weights, which): return (network(weights, X[which]) - Y[which]).square().mean(-1)


def plain():
    weights = fresh_weights(10, 0).requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=0.01, momentum=0.9)
    def window():
        for _ in range(40):
            optimizer.zero_grad()
            loss(weights, torch.randint(128, (32,))).sum().backward()
            optimizer.step()
    return window


def machine():
    start = torch.tensor([[0.01, 0.1, 0.0]]).repeat(10, 1)
    return Machine(start, Training(loss, fresh_weights(10, 0), 128, 40, 32), Progress(), multiply([0.3, 0.0, 0.0]), [box([1e-6, 0.01, 0.0], [10.0, 1.0, 0.1])],
                   Bold()).step


@pytest.mark.parametrize("loop", [plain, machine])
@pytest.mark.benchmark(group="40 steps of training, 10 networks: torch.optim.SGD, and the machine")
def test_window(benchmark, loop): benchmark.pedantic(loop(), rounds=10, warmup_rounds=1)
