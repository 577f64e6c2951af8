"""Train the instruments in ddsp_book/data/weights and measure them: results/instruments.csv, and a log of each training.

    python tests/make_instruments.py RECORDINGS NAME…      NAME: violin, flute, trumpet, four, or violin_lightweight, …; see PLANS

RECORDINGS is a folder of FLAC files named violin_A4.flac, …: those of the book, and more from the same sources (nbs/recordings.md).
Two notes of each instrument are never learned from: HELD_OUT. An interrupted training goes on where it stopped.
A small model takes about a minute on one core, the two large ones about ten minutes each.
"""
import csv, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch
from ddsp_book.audio import DATA, replace_file
from ddsp_book.decoder import MODELS, load_model, save_model
from ddsp_book.features import FeatureExtractor
from ddsp_book.folders import read_sound
from ddsp_book.recordings import Recordings
from ddsp_book.training import Training, evaluate, train

HELD_OUT = {"violin": ("A4", "E5"), "flute": ("A4", "A5"), "trumpet": ("C4", "G4"), "saxophone": ("G3", "G4")}
CREDIT = ("learned from recordings in tonejs-instruments by Nicholaus P. Brosowsky (CC BY 3.0); npm packaging by Makefully Studios; "
          "original recordings: {origin}")
VSCO, KARO = "VSCO 2 Community Edition (Versilian Studios)", "Karoryfer samples"
ORIGIN = {"violin": VSCO, "flute": VSCO, "trumpet": VSCO, "saxophone": KARO}
HOW = Training(steps=600, batch=4, halve_every=200, every=100)

# name: instruments, model, its settings, how to train it; those with True are shipped
PLANS = {**{name: ((name,), "small", {}, HOW, True) for name in ("violin", "flute", "trumpet")},
         "four": (("flute", "saxophone", "trumpet", "violin"), "small", {}, HOW._replace(steps=1800, halve_every=600), True),
         "violin_without_noise": (("violin",), "small", {"noise": False}, HOW, False),
         "violin_without_room": (("violin",), "small", {"reverb_s": 0.0}, HOW, False),
         "violin_free_room": (("violin",), "small", {"room_gain": 1e9}, HOW, False),  # one that may become anything
         "violin_without_lift": (("violin",), "small", {"follows": False}, HOW, False),
         "violin_two_notes": (("violin",), "small", {}, HOW, False),
         "violin_four_notes": (("violin",), "small", {}, HOW, False),
         "violin_lightweight": (("violin",), "lightweight", {}, HOW, False),
         "violin_paper": (("violin",), "paper", {}, HOW, False)}
ONLY = {"violin_two_notes": ("G3", "C5"), "violin_four_notes": ("G3", "E4", "C5", "A5")}  # where it is not all notes that are learned


def recordings(folder, instruments, hop, held_out, only=None):
    sounds = []
    for path in sorted(Path(folder).glob("*.flac")):
        who, note = path.stem.split("_")[:2]
        if who in instruments and "phrase" not in note and (note in HELD_OUT[who]) == held_out and (held_out or not only or note in only):
            sounds.append((path.stem, read_sound(path, 600.0).audio, who))
    return Recordings(sounds, hop=hop)


def quality(model, held_out):
    "Loss, pitch error, loudness error on notes that the model has not learned."
    loss, played = evaluate(model, held_out)
    hear = FeatureExtractor(model.sample_rate, model.sample_rate / model.hop)
    cents, level_db = [], []
    for item, audio in zip(held_out, played):
        found = hear(audio)
        sounding = (item["confidence"] >= 0.5) & (item["loudness_db"] > item["loudness_db"].max() - 40)
        cents.append(1200 * (found["f0_hz"] / item["f0_hz"]).log2()[sounding].abs())
        level_db.append((found["loudness_db"] - item["loudness_db"])[sounding].abs())
    return {"loss": round(loss, 3), "f0_cents": round(torch.cat(cents).median().item(), 2), "loudness_db": round(torch.cat(level_db).mean().item(), 2)}


@torch.no_grad()
def room_db(model, sounds):
    "What its room adds to the level of notes, on the average."
    if not model.reverb: return 0.0
    def level_db(audio): return 10 * audio.square().mean().log10()
    dry = [sum(model.parts(item).values()) for item in sounds]
    return round(float(np.mean([level_db(model.room(each)) - level_db(each) for each in dry])), 2)


def make(folder, name, work):
    who, kind, settings, how, shipped = PLANS[name]
    torch.manual_seed(0)
    model = MODELS[kind](instruments=who, **settings)
    held_out = recordings(folder, who, model.hop, True)
    untrained = quality(model, held_out)
    path, began = Path(work) / f"{name}.pt", time.process_time()
    learn_from = recordings(folder, who, model.hop, False, ONLY.get(name))
    def note(model, log): print(name, log[-1], f"{time.process_time() - began:.0f} s", flush=True)
    log = train(model, learn_from, how, path, held_out, False, note)  # the last model counts, not the best: the held-out notes choose nothing
    seconds = time.process_time() - began
    origin = "; ".join(sorted({ORIGIN[each] for each in who}))
    model.about |= {"name": name, "licence": "CC-BY-3.0", "origin": CREDIT.format(origin=origin), "not_learned_from": {each: HELD_OUT[each] for each in who}}
    if shipped:
        (DATA / "weights").mkdir(exist_ok=True)
        save_model(DATA / "weights" / f"{name}.pt", model, half=True)
        model = load_model(DATA / "weights" / f"{name}.pt")
    add("instruments.csv", {"name": name, "model": kind, "parameters": sum(p.numel() for p in model.parameters()), "steps": how.steps, "cpu_s": round(seconds),
                            **{f"untrained_{k}": v for k, v in untrained.items()}, **quality(model, held_out),
                            "room_learned_db": room_db(model, learn_from), "room_held_out_db": room_db(model, held_out)}, ("name",))
    for row in log: add("instruments_log.csv", {"name": name, **{k: round(v, 4) for k, v in row.items()}}, ("name", "step"))


def add(file, row, keys):
    "Add a row to a table, or replace the one of the same keys."
    path, rows = DATA / "results" / file, []
    if path.exists(): rows = [r for r in csv.DictReader(open(path, encoding="utf-8")) if any(r[k] != str(row[k]) for k in keys)]
    def write(temporary):
        with open(temporary, "w", encoding="utf-8", newline="") as out:
            table = csv.DictWriter(out, list(row), lineterminator="\n")
            table.writeheader()
            table.writerows(rows + [row])
    replace_file(path, write)


if __name__ == "__main__":
    torch.set_num_threads(1)
    work = Path(tempfile.gettempdir()) / "ddsp_instruments"
    work.mkdir(exist_ok=True)
    for name in sys.argv[2:]: make(sys.argv[1], name, work)
