"""Make ddsp_book/data/results/matching.csv: how close the matcher comes to sounds of random FM6 patches.

    python tests/make_matching.py [--seconds 60] [--workers 2] [--kinds musical wild] [--seeds 0 32] [--cpu] [--recipe]

The matcher is given one second of sound at 16 kHz and f0; not the algorithm, nor ratios, levels or envelopes.
`musical`: `listening.musical` with f0 spread evenly in octaves over 55…880 Hz. `wild`: `panel.random`, drawn again while it
is nearly silent (below −60 dBFS at its loudest sample). Everything in `matching` was tuned on seeds from 1000 up; these are
0…31. With `--cpu` the seconds are processor seconds of all threads together, so that the table does not depend on what
else the machine does: 60 s on two cores are at most 120 of them. With `--recipe` the matcher is compared with the recipe
that the chapter begins with, as it stands there: both in the time that the recipe takes for its 500 steps, and the recipe
begun again and again, its best kept, in `--seconds`. Rows that the table holds already are kept.
"""
import argparse, csv, json, time, warnings
from pathlib import Path
from statistics import median

import torch
from ddsp_book.audio import DATA
from ddsp_book.fm6 import FM6Op
from ddsp_book.listening import Ear, musical
from ddsp_book.matching import match

RATE, PATH = 16000, DATA / "results" / "matching.csv"
FIELDS = "method", "kind", "seed", "f0_hz", "seconds", "clock", "distance_db", "algorithm", "found_algorithm"
CHAPTER = Path(__file__).parents[1] / "nbs" / "16_matching.ipynb"


def target(kind, seed):
    "A patch and a second of its sound."
    synth, g = FM6Op(RATE), torch.Generator().manual_seed(seed)
    while True:
        if kind == "musical": patch = musical(synth.panel, 1, 55 * 16 ** torch.rand(1, generator=g), g)
        else: patch = synth.panel.random(1, g)
        with torch.no_grad(): sound = synth(patch, RATE)[0]
        if sound.abs().max() > 1e-3: return patch, sound

def recipe_of_the_chapter():
    "The function `recipe`, as its cell in the chapter has it."
    cells = ("".join(cell["source"]) for cell in json.loads(CHAPTER.read_text("utf-8"))["cells"])
    space = {"torch": torch, "fm6": FM6Op(RATE)}
    exec(next(cell for cell in cells if cell.startswith("def recipe(")), space)
    return space["recipe"]


def by_search(sound, f0_hz, seconds, args, clock):
    found = match(sound, RATE, f0_hz=f0_hz, seconds=seconds, workers=args.workers, progress=False, clock=clock)
    return found.distance, int(found.patch["algorithm"])

def by_recipe(sound, f0_hz, seconds, args, clock):
    "Once if `seconds` is 0; else again and again."
    recipe, ear, best, begun, seed = recipe_of_the_chapter(), Ear(sound, RATE), float("inf"), clock(), 0
    while seed == 0 or clock() - begun < seconds:
        best, seed = min(best, ear(recipe(sound, f0_hz, seed=seed)[None]).item()), seed + 1
    return best, 1


def rows(): return list(csv.DictReader(open(PATH))) if PATH.exists() else []

def study(methods, kind, seed, seconds, args):
    "Adds the rows of one target, unless they are there. Without `seconds`, the later methods get the time of the first."
    patch, sound = target(kind, seed)
    clock, f0_hz = time.process_time if args.cpu else time.monotonic, patch["f0_hz"].item()
    case = kind, str(seed), f"{seconds:g}" if seconds else "one recipe", "cpu" if args.cpu else "wall"
    if any((row["method"], row["kind"], row["seed"], row["seconds"], row["clock"]) == (methods[0].__name__[3:], *case)
           for row in rows()): return
    new = []
    for method in methods:
        begun = clock()
        away, found = method(sound, f0_hz, seconds, args, clock)
        seconds = seconds or clock() - begun
        values = method.__name__[3:], *case[:2], f"{f0_hz:.1f}", *case[2:], f"{away:.3f}", int(patch["algorithm"]), found
        new.append(dict(zip(FIELDS, values)))
        print(*values, f"({clock() - begun:.1f} s)", flush=True)
    table = rows() + new
    PATH.parent.mkdir(exist_ok=True)
    with open(PATH, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)

def summary():
    "One line for each kind of row."
    groups = {}
    for row in rows():
        key = tuple(row[name] for name in ("method", "kind", "seconds", "clock"))
        groups.setdefault(key, []).append(float(row["distance_db"]))
    for key, away in groups.items():
        near = [sum(a <= limit for a in away) / len(away) for limit in (1, 2)]
        print(*key, f"{len(away)} sounds: median {median(away):.2f} dB, {near[0]:.0%} within 1 dB, {near[1]:.0%} within 2 dB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=["musical"])
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 32))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--recipe", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for kind in args.kinds:
        for seed in range(*args.seeds):
            if not args.recipe: study([by_search], kind, seed, args.seconds, args)
            else:
                study([by_recipe, by_search], kind, seed, 0, args)
                if args.seconds: study([by_recipe], kind, seed, args.seconds, args)
    summary()
