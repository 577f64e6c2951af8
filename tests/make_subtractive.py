"""Make ddsp_book/data/results/subtractive.csv: which knobs of the subtractive synth can be found from its sound.

    python tests/make_subtractive.py [keys …]     all, or for example: python tests/make_subtractive.py "110 440"
    python tests/make_subtractive.py recording    ddsp_book/data/results/subtractive_trumpet_C4.json: a patch like a recorded trumpet

32 random patches, every knob anywhere on its travel, but the note itself is known: its pitch, its length, its velocity. Patches
that are nearly silent are drawn again. Each is looked for twice: from one note, and from two notes two octaves apart. A search
begins at the nearest of 512 random patches, once for each kind of filter, and turns the knobs by Adam inside the unit cube;
after a third of the steps the best kind of filter goes on alone. `heard_db` is what a knob matters: how far the sound moves when
this knob alone is turned by a tenth of its travel. Takes about ten minutes on two cores.
"""
import csv, sys, time

import numpy as np
import torch
from ddsp_book.audio import DATA, example, examples
from ddsp_book.hybrid import measure
from ddsp_book.spectral import MultiScaleSpectralLoss, SpectralFeatures, feature_distance
from ddsp_book.subtractive import SubtractiveSynth

RATE, N, COUNT, BANK, STEPS = 16000, 16000, 32, 512, 300
KNOWN = {"f0_hz": None, "note_s": 0.6, "velocity": 1.0}
SYNTH = SubtractiveSynth(RATE)
PANEL = SYNTH.panel
KINDS = len(PANEL.knobs["filter"].choices)
FREE = [i for i, name in enumerate(PANEL.knobs) if name not in KNOWN and name != "filter"]
LOSS = MultiScaleSpectralLoss(floor=1e-3)
FEATURES = SpectralFeatures(RATE)
DB = 4.343  # of power, per unit of its natural logarithm


def patches(positions, kind, key_hz):
    "Positions of the free knobs, (batch, free) → patch that plays one key."
    full = PANEL.to_unit(PANEL.defaults(len(positions))).index_copy(1, torch.tensor(FREE), positions)
    patch = PANEL.from_unit(full)
    return patch | {"filter": kind} | {name: torch.full_like(kind, value or key_hz) for name, value in KNOWN.items()}


def sounds(positions, kind, keys): return [SYNTH(patches(positions, kind, key_hz), N) for key_hz in keys]

def draw(count, g): return torch.rand(count, len(FREE), generator=g), torch.randint(KINDS, (count,), generator=g).float()

@torch.no_grad()
def audible(count, keys, seed):
    "Random patches of which every key is heard: 30 dB below full scale or louder in some tenth of a second."
    g, kept = torch.Generator().manual_seed(seed), []
    while sum(len(positions) for positions, _ in kept) < count:
        positions, kind = draw(32, g)
        rms = torch.stack([y.view(len(y), 10, -1).square().mean(2).sqrt().amax(1) for y in sounds(positions, kind, keys)]).amin(0)
        kept.append((positions[rms > 0.03], kind[rms > 0.03]))
    return tuple(torch.cat(each)[:count] for each in zip(*kept))

def features(audio): return [torch.cat(each, 2) for each in zip(*(FEATURES(y) for y in audio))]  # keys side by side

@torch.no_grad()
def distance_db(audio, others): return DB * feature_distance(features(audio), features(others))

@torch.no_grad()
def starts(targets, keys):
    "For each target and each kind of filter, the nearest of many random patches: (targets, KINDS, free)."
    positions, _ = audible(BANK, keys, 1)
    kind = torch.arange(BANK) % KINDS
    apart, wanted = [], features(targets)
    for rows in torch.arange(BANK).split(32):
        bank = features(sounds(positions[rows], kind[rows].float(), keys))
        apart += [feature_distance(wanted, [each[i:i + 1] for each in bank]) for i in range(len(rows))]
    apart = torch.stack(apart, 1)  # (targets, BANK)
    nearest = torch.stack([apart.masked_fill(kind != k, 1e9).argmin(1) for k in range(KINDS)], 1)
    return positions[nearest]

def descend(positions, kind, targets, keys, steps, lr):
    "Turn the knobs; gives where they end, and the loss there."
    positions = positions.clone().requires_grad_()
    known = [LOSS.analyse(y) for y in targets]
    adam = torch.optim.Adam([positions], lr, betas=(0.9, 0.99))
    for step in range(steps):
        adam.param_groups[0]["lr"] = lr * min(1, 2 * (1 - step / steps))
        losses = sum(LOSS.each(y, x) for y, x in zip(sounds(positions, kind, keys), known)) / len(keys)
        adam.zero_grad()
        losses.sum().backward()
        positions.grad.nan_to_num_()
        adam.step()
        with torch.no_grad(): positions.clamp_(0, 1)
    with torch.no_grad(): losses = sum(LOSS.each(y, x) for y, x in zip(sounds(positions, kind, keys), known)) / len(keys)
    return positions.detach(), losses

def search(targets, keys, log=print):
    begin, count = starts(targets, keys), len(targets[0])
    kind = torch.arange(KINDS).float().repeat(count)
    spread = [y.repeat_interleave(KINDS, 0) for y in targets]
    tried, losses = descend(begin.flatten(0, 1), kind, spread, keys, STEPS // 3, 0.03)
    best = losses.view(count, KINDS).argmin(1)
    log(f"filters tried, best losses {losses.view(count, KINDS).amin(1).mean():.3f}")
    rows = torch.arange(count)
    first, losses_first = begin[rows, best], losses
    found, losses = descend(tried.view(count, KINDS, -1)[rows, best], best.float(), targets, keys, STEPS - STEPS // 3, 0.02)
    log(f"losses {losses.mean():.3f}")
    return first, found, best.float()

@torch.no_grad()
def heard(positions, kind, targets, keys):
    "How far each knob moves the sound, dB: (patches, free)."
    moved = []
    for i in range(len(FREE)):
        nudged = positions.clone()
        nudged[:, i] += torch.where(positions[:, i] < 0.5, 0.1, -0.1)
        moved.append(distance_db(sounds(nudged, kind, keys), targets))
    return torch.stack(moved, 1)


def study(keys):
    true, kind = audible(COUNT, keys, 0)
    with torch.no_grad(): targets = sounds(true, kind, keys)
    first, found, found_kind = search(targets, keys)
    matters = heard(true, kind, targets, keys)
    with torch.no_grad(): before, after = (distance_db(sounds(p, found_kind, keys), targets) for p in (first, found))
    names, said = list(PANEL.knobs), " ".join(f"{key:g}" for key in keys)
    for patch in range(COUNT):
        def row(knob, *numbers): return {"keys_hz": said, "patch": patch, "knob": knob} | dict(zip(("true", "start", "found", "heard_db"), (f"{v:.3f}" for v in numbers)))
        yield row("sound_db", 0, before[patch], after[patch], 0)
        yield row("filter", kind[patch], found_kind[patch], found_kind[patch], 0)
        for i, place in enumerate(FREE): yield row(names[place], *(v[patch, i] for v in (true, first, found, matters)))


def like_a_recording(name, level=0.3):
    "The patch that comes nearest to a second of a recording; and its measured pitch."
    audio = example(name)[0][:N]
    f0_hz = float(np.median(measure(audio, RATE)[0]))
    target = torch.tensor(audio / np.abs(audio).max() * level, dtype=torch.float32)[None]
    KNOWN["note_s"] = 10.0  # the key stays down
    first, found, kind = search([target], [f0_hz])
    return patches(found, kind, f0_hz), distance_db([target], sounds(first, kind, [f0_hz])).item(), distance_db([target], sounds(found, kind, [f0_hz])).item()


if __name__ == "__main__":
    if sys.argv[1:] == ["recording"]:
        name = "trumpet_C4"
        row = next(row for row in examples() if row["name"] == name)
        patch, before, after = like_a_recording(name)
        PANEL.save(DATA / "results" / f"subtractive_{name}.json", PANEL.clamp(patch), "Like a trumpet", f"fitted to {name}: {row['attribution']}, {row['licence']}")
        sys.exit(print(f"{name}: {before:.1f} dB at the nearest random patch, {after:.1f} dB fitted"))
    path = DATA / "results" / "subtractive.csv"
    for said in sys.argv[1:] or ("220", "110 440"):
        began = time.time()
        new = list(study([float(key) for key in said.split()]))
        rows = [row for row in csv.DictReader(open(path)) if row["keys_hz"] != said] if path.exists() else []
        rows = sorted(rows + new, key=lambda row: -float(row["keys_hz"].split()[0]))
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, new[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{said} Hz: {time.time() - began:.0f} s", flush=True)
