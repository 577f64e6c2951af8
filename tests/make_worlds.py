"""Make ddsp_book/data/results/worlds.csv: final losses of small networks, by optimizers that were told a learning rate and by a machine that was not.

    python tests/make_worlds.py

Six tasks, six networks each, 2000 steps each; the last three tasks were not used while the machine was made. SGD, SGD with momentum
and Adam (torch's own) run at ten or eleven learning rates each; the machine begins at four. `machine μ`, `machine σ`: momentum, noise follow the drive too.
Takes about two minutes of one core; the same seeds give the same table up to rounding.
"""
import csv, math, sys, time

import numpy as np
import torch
from ddsp_book.audio import DATA, example, replace_file
from ddsp_book.machine import Machine, box, multiply
from ddsp_book.worlds import Bold, Progress, Training, fresh_weights, network

STEPS, NETWORKS, WIDTHS = 2000, 6, (2, 24, 24, 1)
GRID = {"SGD": (0.05, 0.1, 0.14, 0.2, 0.28, 0.4, 0.8, 1.6, 3.2, 6.4), "momentum": (0.01, 0.02, 0.04, 0.06, 0.08, 0.11, 0.16, 0.23, 0.32, 0.45, 0.64),
        "Adam": (0.001, 0.002, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)}
STARTS = (1e-4, 1e-3, 1e-2, 1e-1)
VARIANTS = {"machine": (0.3, 0.0, 0.0), "machine μ": (0.3, -0.1, 0.0), "machine σ": (0.3, 0.0, -0.3)}


def one_period(name, f0_hz, start, count=128):
    "Phase on a circle → one period of a recording."
    audio, sample_rate = example(name)
    wave = torch.tensor(np.interp(start + sample_rate / f0_hz * np.arange(count) / count, np.arange(len(audio)), audio), dtype=torch.float32)
    wave = wave - wave.mean()
    phase = 2 * math.pi * torch.arange(count) / count
    return torch.stack([phase.sin(), phase.cos()], 1), wave / wave.abs().max()


def squared(x, y):
    return lambda weights, which: (network(weights, x[which], WIDTHS) - y[which]).square().mean(-1)


def logistic(x, y):
    return lambda weights, which: torch.nn.functional.softplus(-y[which] * network(weights, x[which], WIDTHS)).mean(-1)


def moons(count=400):
    g = torch.Generator().manual_seed(0)
    t, k = torch.rand(count, generator=g) * math.pi, torch.arange(count) % 2
    x = torch.stack([torch.where(k == 0, t.cos(), 1 - t.cos()), torch.where(k == 0, t.sin(), 0.5 - t.sin())], 1)
    return x + 0.2 * torch.randn(count, 2, generator=g), 2.0 * k - 1


def spirals(count=400):
    g = torch.Generator().manual_seed(0)
    t, k = torch.rand(count, generator=g).sqrt() * 1.5 * math.pi + 0.5, torch.arange(count) % 2
    x = (1 - 2 * k)[:, None] * torch.stack([t * t.cos(), t * t.sin()], 1) / 2.5
    return x + 0.35 * torch.randn(count, 2, generator=g), 2.0 * k - 1


TASKS = {"trumpet": (squared, one_period("trumpet_C4", 261.6, 8000), None), "trumpet, 32": (squared, one_period("trumpet_C4", 261.6, 8000), 32),
         "moons, 32": (logistic, moons(), 32), "clarinet": (squared, one_period("clarinet_D4", 293.7, 8000), None),
         "violin, 32": (squared, one_period("violin_A4", 440.0, 8000), 32), "spirals, 32": (logistic, spirals(), 32)}


def told(loss, weights, examples, minibatch, method):
    "Final losses for each rate of the grid; torch's optimizers, one group of parameters for each rate."
    groups = [weights.clone().requires_grad_() for _ in GRID[method]]
    settings = [{"params": [p], "lr": lr} for p, lr in zip(groups, GRID[method])]
    optimizer = (torch.optim.Adam(settings) if method == "Adam" else torch.optim.SGD(settings, lr=1.0, momentum=0.9 if method == "momentum" else 0.0))
    g = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        which = torch.randint(examples, (minibatch,), generator=g) if minibatch else torch.arange(examples)
        optimizer.zero_grad()
        loss(torch.cat(groups), which).sum().backward()
        optimizer.step()
    with torch.no_grad(): return loss(torch.cat(groups), torch.arange(examples)).view(len(groups), -1)


def machine(loss, weights, examples, minibatch, rates):
    "Final losses for each start."
    alpha = torch.tensor(STARTS).repeat_interleave(len(weights))
    start = torch.stack([alpha, torch.full_like(alpha, 0.1), torch.full_like(alpha, 1e-3 if rates[2] else 0.0)], 1)
    training = Training(loss, weights.repeat(len(STARTS), 1), examples, 40, minibatch, seed=1)
    safety = [box(torch.tensor([1e-6, 0.01, 0.0]), torch.tensor([10.0, 1.0, 0.1]))]
    Machine(start, training, Progress(), multiply(torch.tensor(rates)), safety, Bold()).run(STEPS // 40, progress=False)
    with torch.no_grad(): return loss(training.weights, torch.arange(examples)).view(len(STARTS), -1)


def main():
    torch.set_num_threads(1)
    rows = []
    for task, (kind, (x, y), minibatch) in TASKS.items():
        loss, weights = kind(x, y), fresh_weights(NETWORKS, 100, WIDTHS)
        runs = {**{m: (GRID[m], lambda m=m: told(loss, weights, len(x), minibatch, m)) for m in GRID},
                **{v: (STARTS, lambda r=r: machine(loss, weights, len(x), minibatch, r)) for v, r in VARIANTS.items()}}
        for method, (rates, run) in runs.items():
            begun, found = time.process_time(), run().nan_to_num(math.inf, math.inf)
            rows += [{"task": task, "method": method, "rate": rate, "network": k, "loss": f"{v:.4g}"}
                     for rate, row in zip(rates, found.tolist()) for k, v in enumerate(row)]
            print(f"{task:12} {method:12}", *(f"{v:.5f}" for v in found.median(1).values), f"{time.process_time() - begun:.0f} s", flush=True)
    def write(path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    replace_file(DATA / "results" / "worlds.csv", write)


if __name__ == "__main__": main()
