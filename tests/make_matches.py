"""Make ddsp_book/data/results/match_*.json: what the matcher finds for recordings, six operators each, for the chapter `matching`.

    python tests/make_matches.py [--seconds 60] [--workers 2] [NAME ...]

One second of each recording at 16 kHz; the pitch is measured by the matcher. The distance is in the patch's origin.
"""
import argparse

import torch
from ddsp_book.audio import DATA, example, examples
from ddsp_book.matching import match

parser = argparse.ArgumentParser()
parser.add_argument("names", nargs="*", default=["rhodes_C4", "bell_perc_bell", "trumpet_C4"])
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--workers", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(1)
licences = {row["name"]: f"{row['attribution']}, {row['licence']}" for row in examples()}
for name in args.names:
    sound, rate = example(name)
    found = match(torch.tensor(sound[:rate]), rate, seconds=args.seconds, workers=args.workers, progress=False)
    origin = f"matched to the recording {name} ({licences[name]}) in {args.seconds:g} s; {found.distance:.2f} dB away"
    found.synth.panel.save(DATA / "results" / f"match_{name}.json", found.patch, name.replace("_", " "), origin)
    print(origin, flush=True)
