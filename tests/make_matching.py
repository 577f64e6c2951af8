"""Make ddsp_book/data/results/matching.csv: how close the matcher comes to sounds of random FM6 patches.

    python tests/make_matching.py [--seconds 60] [--workers 2] [--kinds musical wild] [--seeds 0 32] [--cpu]

The matcher is given one second of sound at 16 kHz and f0; not the algorithm, nor ratios, levels or envelopes.
`musical`: `matching.musical` with f0 spread evenly in octaves over 55…880 Hz. `wild`: `panel.random`, drawn again while it
is nearly silent (below −60 dBFS at its loudest sample). Everything in `matching` was tuned on seeds from 1000 up; these are
0…31. With `--cpu` the seconds are processor seconds of all threads together, so that the table does not depend on what
else the machine does: 60 s on two cores are at most 120 of them. Rows that the table holds already are kept.
"""
import argparse, csv, time, warnings
from statistics import median

import torch
from ddsp_book.audio import DATA
from ddsp_book.fm6 import FM6Op
from ddsp_book.matching import match, musical

RATE, PATH = 16000, DATA / "results" / "matching.csv"
FIELDS = "kind", "seed", "f0_hz", "seconds", "clock", "distance_db", "algorithm", "found_algorithm"


def target(kind, seed):
    "A patch and a second of its sound."
    synth, g = FM6Op(RATE), torch.Generator().manual_seed(seed)
    while True:
        if kind == "musical": patch = musical(synth.panel, 1, 55 * 16 ** torch.rand(1, generator=g), g)
        else: patch = synth.panel.random(1, g)
        with torch.no_grad(): sound = synth(patch, RATE)[0]
        if sound.abs().max() > 1e-3: return patch, sound


def rows(): return list(csv.DictReader(open(PATH))) if PATH.exists() else []

def study(kind, seed, seconds, workers, cpu):
    patch, sound = target(kind, seed)
    clock = time.process_time if cpu else time.monotonic
    f0_hz = patch["f0_hz"].item()
    found = match(sound, RATE, f0_hz=f0_hz, seconds=seconds, workers=workers, progress=False, clock=clock)
    values = (kind, seed, f"{f0_hz:.1f}", f"{seconds:g}", "cpu" if cpu else "wall", f"{found.distance:.3f}",
              int(patch["algorithm"]), int(found.patch["algorithm"]))
    return dict(zip(FIELDS, values))

def summary(kind, seconds, clock):
    away = [float(row["distance_db"]) for row in rows() if (row["kind"], row["seconds"], row["clock"]) == (kind, seconds, clock)]
    near = [sum(a <= limit for a in away) / len(away) for limit in (1, 2)]
    print(f"{kind}: {len(away)} sounds, {seconds} s ({clock}) each: median {median(away):.2f} dB, "
          f"{near[0]:.0%} within 1 dB, {near[1]:.0%} within 2 dB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=["musical", "wild"])
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 32))
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for kind in args.kinds:
        for seed in range(*args.seeds):
            key = kind, str(seed), f"{args.seconds:g}", "cpu" if args.cpu else "wall"
            table = rows()
            if any((row["kind"], row["seed"], row["seconds"], row["clock"]) == key for row in table): continue
            table.append(study(kind, seed, args.seconds, args.workers, args.cpu))
            PATH.parent.mkdir(exist_ok=True)
            with open(PATH, "w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(table)
            print(table[-1], flush=True)
        summary(kind, f"{args.seconds:g}", "cpu" if args.cpu else "wall")
