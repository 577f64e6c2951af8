"""Make ddsp_book/data/results/map_fm6.json, the map of sounds, and morphing.csv, ways between presets.

    python tests/make_map.py          the map: 300 musical patches and the presets, the stable ones laid out by how they sound
    python tests/make_map.py morph    every preset to every other: the straight line and the morph, measured

All notes of the map have 220 Hz, 0.7 s and full velocity. About one minute and about five minutes on one core.
"""
import csv, itertools, json, sys, warnings

import torch
from ddsp_book.audio import DATA
from ddsp_book.fm import AliasingWarning
from ddsp_book.fm6 import FM6Op
from ddsp_book.listening import musical
from ddsp_book.morphing import Between, lay_out, morph, stable, timbre
from ddsp_book.spectral import power_spectrum, spectral_stats

RATE, DRAWN, GROUPS = 48000, 300, 6
RESULTS = DATA / "results"
FILES = sorted((DATA / "patches" / "fm6").glob("*.json"))


def note(patch, note_s): return patch | {"f0_hz": torch.full_like(patch["f0_hz"], 220), "note_s": torch.full_like(patch["note_s"], note_s), "velocity": torch.ones_like(patch["velocity"])}


@torch.no_grad()
def make_map():
    synth = FM6Op(RATE)
    panel = synth.panel
    patches = [note(panel.load(path), 0.7) for path in FILES]
    patches.append(note(musical(panel, DRAWN, 220.0, torch.Generator().manual_seed(0)), 0.7))
    names = [json.loads(path.read_text("utf-8"))["name"] for path in FILES] + [f"no. {i + 1}" for i in range(DRAWN)]
    whole = (torch.cat([panel.to_unit(patch) for patch in patches]) * 10000).round()  # what the page will play
    patch = panel.from_unit(whole / 10000)
    found = stable(synth, patch)
    keep = ~torch.stack(list(found.values())).any(0)
    assert keep[:len(FILES)].all()
    whole, names = whole[keep], [name for name, kept in zip(names, keep) if kept]
    audio = torch.cat([synth(panel.from_unit(rows / 10000), RATE) for rows in whole.split(25)])
    places, groups = lay_out(timbre(audio, RATE), GROUPS)
    centroid = spectral_stats(power_spectrum(audio, 3072).sum(1), RATE).centroid_hz
    middle_hz = torch.stack([centroid[groups == g].median() for g in range(GROUPS)])
    order = middle_hz.argsort()  # from dark to bright
    data = {"drawn": DRAWN, "refused": {reason: int(rows.sum()) for reason, rows in found.items()}, "names": names,
            "groups": order.argsort()[groups].tolist(), "group_names": [f"{word(hz)}, {10 * round(float(hz) / 10)} Hz" for hz in middle_hz[order]],
            "places": [[round(x, 4) for x in row] for row in places.tolist()], "vectors": whole.int().tolist()}
    (RESULTS / "map_fm6.json").write_text(json.dumps(data, separators=(",", ":")) + "\n", "utf-8")
    print(data["refused"], len(names), data["group_names"])


def word(hz): return next(name for most, name in ((600, "dark"), (1000, "warm"), (1500, "clear"), (1e9, "bright")) if hz < most)


def wander(x): return float(x.diff().abs().sum() - (x[-1] - x[0]).abs())

@torch.no_grad()
def measured(synth, patches):
    audio = synth(patches, 16000)
    between = Between(audio[[0, -1]], 16000)
    heard, mel = between(audio), between.hear(audio)
    heard["to_a"][0] = heard["to_b"][-1] = 0
    step = (mel[1:] - mel[:-1]).abs().mean((1, 2))
    forward = bool((heard["to_a"].diff() > 0).all() and (heard["to_b"].diff() < 0).all())
    return between.apart, {"forward": int(forward), "sum": float((heard["to_a"] + heard["to_b"]).max()) / between.apart,
                           "loudness": wander(heard["loudness_db"]), "octaves": wander(heard["centroid_hz"].log2()), "largest": float(step.max() / step.mean())}


def make_morphs():
    synth = FM6Op(16000)
    panel = synth.panel
    presets = {path.stem: note(panel.load(path), 0.5) for path in FILES}
    rows = []
    for a, b in itertools.permutations(presets, 2):
        line = torch.lerp(panel.to_unit(presets[a]), panel.to_unit(presets[b]), torch.linspace(0, 1, 8)[:, None])
        apart, row = measured(synth, panel.from_unit(line))
        row = {"a": a, "b": b, "apart": apart, **{f"straight_{key}": value for key, value in row.items()}}
        row |= {f"morph_{key}": value for key, value in measured(synth, morph(synth, presets[a], presets[b]))[1].items()}
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
        print(rows[-1], flush=True)
    with open(RESULTS / "morphing.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore", AliasingWarning)
    torch.set_num_threads(1)
    if sys.argv[1:] == ["morph"]: make_morphs()
    else: make_map()
