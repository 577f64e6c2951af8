"""Make ddsp_book/data/results/adaptive.csv and adaptive_tuning.csv: AE-DDSP beside plain optimizers.

    python tests/make_adaptive.py [--only METHOD …] [--workers 1]

24 targets of half a second at 16 kHz: 8 presets of FM6Op, 8 of SubtractiveSynth, 8 recordings (four for each synth). Choices
are given and held: algorithm, ratios, fixed frequencies, filter kind, pitch, velocity. All other knobs (39 of FM6Op, 22 of
SubtractiveSynth) start at random places of the unit cube, the same for all methods; 3 seeds. The cost is that of
`adaptive.Hearing`. What counts is the lowest cost heard within 200 sounds, a sound with its gradient counting as one; and, in
a second account, within 600, a gradient counting as three. Every method gets its settings on 12 other targets: those
with the lowest mean log cost. Rows that the tables hold already are kept; 24 targets × 3 seeds of one method are one batch.
"""
import argparse, csv, math, time, warnings
from itertools import product

import numpy as np
import torch
from ddsp_book.adaptive import Hearing, Probe, Evolve, Scheduler, ae_ddsp
from ddsp_book.audio import DATA, example, note_to_hz
from ddsp_book.fm6 import FM6Op
from ddsp_book.machine import Follow, Machine, box
from ddsp_book.subtractive import SubtractiveSynth

RATE, N, BUDGET = 16000, 8000, 200
RESULTS = DATA / "results"
HELD = {"fm6": ("algorithm", "ratio", "fixed", "fixed_hz", "f0_hz", "velocity"), "subtractive": ("filter", "f0_hz", "velocity")}
FM6, SUB = FM6Op(RATE), SubtractiveSynth(RATE)
TARGETS = {
    "fm6": ["bass", "bell", "brass", "clavinet", "electric_piano", "flute", "glass_pad", "marimba",
            "rhodes_C4", "marimba_C4", "clarinet_D4", "trumpet_C4"],
    "subtractive": ["acid", "bass", "brass", "clavinet", "lead", "organ", "pad", "strings",
                    "cello_C3", "flute_A4", "violin_A4", "saxophone_G3"]}
TUNING = {"fm6": ["organ", "strings", "random 1", "random 2", "epiano2_C5", "trumpet_G4"],
          "subtractive": ["flute", "kick", "wind", "random 1", "violin_G3", "xylophone_C5"]}


def target(synth, name):
    "A patch whose held knobs are given, half a second of sound, and what kind of target it is."
    s = FM6 if synth == "fm6" else SUB
    try: recorded = example(name)[0]
    except ValueError: recorded = None
    if recorded is not None:  # half a second from where it begins
        begin = max(0, int(np.argmax(np.abs(recorded) > 0.02 * np.abs(recorded).max())) - 80)
        sound = torch.tensor(recorded[begin:begin + N], dtype=torch.float32)
        sound = torch.nn.functional.pad(sound, (0, N - len(sound)))
        patch = s.panel.defaults()
        if synth == "fm6":  # three pairs, harmonic
            patch["ratio"] = torch.tensor([[1.0, 1, 2, 1, 3, 1]])
        patch["f0_hz"] = torch.tensor([note_to_hz(name.split("_")[1])]).float()
        return patch, 0.25 * sound / sound.abs().max(), "recording"
    if name.startswith("random"):
        g = torch.Generator().manual_seed(1000 + int(name.split()[1]))
        vector = torch.rand(1, s.panel.size, generator=g)
        patch = s.panel.from_unit(vector)
        patch["f0_hz"] = 110 * 4 ** torch.rand(1, generator=g)
        if synth == "fm6":
            patch["fixed"] *= 0
            patch["ratio"] = torch.randint(1, 6, (1, 6), generator=g).float()
        for stage in ("attack_s", "filter_attack_s"):
            if stage in patch: patch[stage] = patch[stage].clamp(max=0.05)
    else: patch = s.panel.load(DATA / "patches" / synth / f"{name}.json")
    with torch.no_grad(): return patch, s(patch, N)[0], synth


class Case:
    "Rows of targets × seeds for one synth: where they start, how they sound, what one hears."
    def __init__(self, synth, names, seeds):
        s = FM6 if synth == "fm6" else SUB
        self.synth, self.names, self.seeds = synth, names, seeds
        self.rows = [(name, seed) for name in names for seed in seeds]
        found = {name: target(synth, name) for name in names}
        at, i = {}, 0
        for name, knob in s.panel.knobs.items(): at[name], i = range(i, i + knob.size), i + knob.size
        held = [i for name in HELD[synth] for i in at[name]]
        self.free = [i for i in range(s.panel.size) if i not in held]
        self.full = torch.cat([s.panel.to_unit(found[name][0]) for name, _ in self.rows]).detach()
        self.kind = [found[name][2] for name, _ in self.rows]
        self.sounds = torch.stack([found[name][1] for name, _ in self.rows])
        self.hear, self.panel, self.s = Hearing(self.sounds, RATE), s.panel, s

    def start(self, extra=0):
        "The same for every method."
        def one(name, seed):
            key = sum((i + 1) * ord(c) for i, c in enumerate(self.synth + name)) + 100003 * seed + 1000003 * extra
            return torch.rand(len(self.free), generator=torch.Generator().manual_seed(key))
        return torch.stack([one(*row) for row in self.rows])

    def play(self, vectors):
        "Free knobs → sound; several for each row, together."
        full = self.full.repeat_interleave(len(vectors) // len(self.full), 0)
        return self.s(self.panel.from_unit(full.index_copy(1, torch.tensor(self.free), vectors)), N)


class Trace:
    "The lowest cost of each row after so many gradients and so many plain sounds."
    def __init__(self): self.points = []
    def note(self, gradients, sounds, lowest): self.points.append((gradients, sounds, lowest.clone()))
    def within(self, budget, price=1):
        fits = [lowest for g, s, lowest in self.points if price * g + s <= budget]
        return torch.stack(fits).amin(0)


def descent(case, update, steps=BUDGET):
    machine, trace = Machine(case.start(), case.play, case.hear, update, [box()]), Trace()
    for step in range(steps):
        machine.step()
        trace.note(step + 1, 0, machine.lowest)
    return trace

class Plateau:
    "Update law: Adam and torch's own ReduceLROnPlateau, for each row by itself."
    def __init__(self, case, lr): self.case, self.lr, self.parts = case, lr, None
    def __call__(self, coefficients, drive):
        if self.parts is None:
            rows = [row.clone().requires_grad_() for row in coefficients]
            adams = [torch.optim.Adam([row], lr=self.lr) for row in rows]
            plans = [torch.optim.lr_scheduler.ReduceLROnPlateau(a, factor=0.5, patience=10) for a in adams]
            self.parts = rows, adams, plans
        for row, adam, plan, now, g, cost in zip(*self.parts, coefficients, drive, self.heard.tolist()):
            row.data.copy_(now)
            row.grad = -g
            adam.step()
            plan.step(cost)
        return torch.stack([row.detach().clone() for row in self.parts[0]])

def plateau(case, lr):
    law, hear = Plateau(case, lr), case.hear
    def analysis(audio):
        features = hear(audio)
        law.heard = features["cost"].detach()
        return features
    machine, trace = Machine(case.start(), case.play, analysis, law, [box()]), Trace()
    for step in range(BUDGET):
        machine.step()
        trace.note(step + 1, 0, machine.lowest)
    return trace

def restarts(case, lr, times=2):
    trace, lowest = Trace(), None
    for k in range(times):
        machine = Machine(case.start(k), case.play, case.hear, Follow(lr=lr), [box()])
        for step in range(BUDGET // times):
            machine.step()
            now = machine.lowest if lowest is None else torch.minimum(lowest, machine.lowest)
            trace.note(BUDGET // times * k + step + 1, 0, now)
        lowest = now
    return trace

def evolution(case, sigma, popsize=15, sounds=3 * BUDGET):
    import cma
    quiet = dict(bounds=[0, 1], popsize=popsize, verbose=-9, maxfevals=sounds + 1, tolfun=0, tolx=0, tolflatfitness=10**6)
    each = [cma.CMAEvolutionStrategy(x.double().numpy(), sigma, dict(quiet, seed=1 + i)) for i, x in enumerate(case.start())]
    trace, lowest = Trace(), torch.full((len(each),), math.inf)
    for g in range(sounds // popsize):
        asked = [es.ask() for es in each]
        vectors = torch.tensor(np.array(asked), dtype=torch.float32).clamp(0, 1)
        with torch.no_grad():
            cost = torch.cat([case.hear(case.play(vectors[:, j]))["cost"][:, None] for j in range(popsize)], 1)
        cost = cost.nan_to_num(1e6)
        for es, x, c in zip(each, asked, cost.double().numpy()): es.tell(x, c)
        lowest = torch.minimum(lowest, cost.amin(1))
        trace.note(0, popsize * (g + 1), lowest)
    return trace

def adaptive(case, alpha, **settings):
    planned = {k: settings.pop(k) for k in list(settings)
               if k in ("cosine", "momentum", "alpha_range", "sigma_range", "mu_range", "sigma", "patience", "flat", "mu", "up", "down")}
    machine, trace = ae_ddsp(case.start(), case.play, case.hear, Scheduler(alpha, **planned), **settings), Trace()
    gradients = sounds = 0
    while gradients + sounds < BUDGET or 3 * gradients + sounds < 3 * BUDGET:
        machine.step()
        gradients, sounds = gradients + 1, sounds + machine.drive.tried.shape[1] - 1
        trace.note(gradients, sounds, machine.lowest)
    return trace


SGD = torch.optim.SGD
# Within the theory, but quieter: a failure costs as much as a success brings; dither and tests are rarer, momentum keeps within bounds.
MENDED = dict(down=0.98, sigma=1e-4, sigma_range=(1e-6, 3e-3), mu_range=(0.5, 0.95), tests=2, every=20)
METHODS = {  # name: (run with a setting, the settings to choose from; or whose setting it takes over)
    "SGD": (lambda case, lr: descent(case, Follow(SGD, lr=lr)), (3e-4, 1e-3, 3e-3, 1e-2)),
    "SGD + momentum": (lambda case, lr: descent(case, Follow(SGD, lr=lr, momentum=0.9)), (1e-4, 3e-4, 1e-3, 3e-3)),
    "Adam": (lambda case, lr: descent(case, Follow(lr=lr)), (0.01, 0.03, 0.06, 0.1, 0.2)),
    "Adam, rates to 0.06": (lambda case, lr: descent(case, Follow(lr=lr)), (0.01, 0.03, 0.06)),  # a smaller grid, another choice
    "Adam + plateau": (plateau, (0.03, 0.06, 0.1)),
    "Adam, 2 starts": (restarts, "Adam"),
    "CMA-ES": (evolution, (0.1, 0.25, 0.4)),
    "AE-DDSP": (adaptive, (0.01, 0.015, 0.03, 0.06)),
    "AE-DDSP, mended": (lambda case, alpha: adaptive(case, alpha, **MENDED), "AE-DDSP"),
    "AE without local tests": (lambda case, alpha: adaptive(case, alpha, tests=0), "AE-DDSP"),
    "AE without dither": (lambda case, alpha: adaptive(case, alpha, dither=False), "AE-DDSP"),
    "AE without momentum law": (lambda case, alpha: adaptive(case, alpha, momentum=False), "AE-DDSP"),
    "AE without rate law": (lambda case, alpha: adaptive(case, alpha, alpha_range=(1, 1)), "AE-DDSP"),
    "AE with one rate for all knobs": (lambda case, alpha: adaptive(case, alpha, scaled=False), (0.001, 0.003)),
}
FIRST_RATES = (0.003, 0.01, 0.03, 0.1, 0.3), ("Adam", "AE-DDSP", "AE-DDSP, mended")  # on the tuning targets: does a poor one hurt?
CHECKPOINTS = 25, 50, 75, 100, 125, 150, 175, 200
FIELDS = ("method", "setting", "synth", "target", "kind", "seed", "start", *(f"at_{n}" for n in CHECKPOINTS), "at_600_by_3")
TUNED = "method", "setting", "synth", "target", "seed", "at_200"


def rows(path): return list(csv.DictReader(open(path, encoding="utf-8"))) if path.exists() else []

def write(path, fields, table):
    with open(path.with_suffix(".part"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    path.with_suffix(".part").replace(path)

def measure(name, synth, settings, path=RESULTS / "adaptive_tuning.csv"):
    "The mean log cost on the tuning targets for each setting."
    case, score = None, {}
    for setting in settings:
        key = name, f"{setting:g}", synth
        def known(): return [float(r["at_200"]) for r in rows(path) if (r["method"], r["setting"], r["synth"]) == key]
        if not known():
            case = case or Case(synth, TUNING[synth], (0,))
            found = METHODS[name][0](case, setting).within(BUDGET).tolist()
            write(path, TUNED, rows(path) + [dict(zip(TUNED, (*key, *row, f"{x:.4f}"))) for row, x in zip(case.rows, found)])
        score[setting] = np.mean(np.log(known()))
    print(f"{synth:12} {name:28}", {f"{s:g}": round(float(np.exp(x)), 3) for s, x in score.items()}, flush=True)
    return score

def tune(name, synth):
    "The setting with the lowest mean log cost on the tuning targets."
    grid = METHODS[name][1]
    if isinstance(grid, str): return tune(grid, synth)
    score = measure(name, synth, grid)
    return min(grid, key=score.get)

def study(name, synth, setting, path=RESULTS / "adaptive.csv"):
    key = name, synth, f"{setting:g}"
    if any((r["method"], r["synth"], r["setting"]) == key for r in rows(path)): return
    case = Case(synth, TARGETS[synth], (0, 1, 2))
    begun = time.process_time()
    trace = METHODS[name][0](case, setting)
    with torch.no_grad(): start = case.hear(case.play(case.start()))["cost"]
    costs = [start, *(trace.within(n) for n in CHECKPOINTS), trace.within(3 * BUDGET, 3)]
    new = [dict(zip(FIELDS, (name, f"{setting:g}", synth, *row[:1], kind, row[1], *(f"{c[i]:.4f}" for c in costs))))
           for i, (row, kind) in enumerate(zip(case.rows, case.kind))]
    others = [r for r in rows(path) if (r["method"], r["synth"]) != key[:2]]  # less those with another setting
    write(path, FIELDS, others + new)
    print(f"{synth:12} {name:28} {setting:<6g} median {trace.within(BUDGET).median():.3f} dB, "
          f"{time.process_time() - begun:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=list(METHODS), help="names of methods")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, synth in product(args.only, TARGETS): study(name, synth, tune(name, synth))
    for name, synth in product(FIRST_RATES[1], TARGETS):
        if name in args.only: measure(name, synth, FIRST_RATES[0])
