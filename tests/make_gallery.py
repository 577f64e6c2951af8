"""Make ddsp_book/data/patches/gallery and ddsp_book/data/results/gallery.csv: recordings, three synthesizers each, for the page `gallery`.

    python tests/make_gallery.py [--seconds 24] [NAME ...]

One second of each at 16 kHz. FM and subtractive patches are searched for by `ddsp_book.matching.match` for so many seconds of CPU time, so that
other work on the machine does not matter; one thread, seed 0. The harmonic model learns for 1000 steps, about 10 s. Without names: all fifteen, about 15
CPU minutes.
The table is computed from the patch files, all of them, whatever was made anew.
"""
import argparse, csv, io, json, time

import torch
from ddsp_book.audio import DATA, example, examples, replace_file
from ddsp_book.fm6 import FM6Op
from ddsp_book.hybrid import _digest, export, learn_note, load_patch, render_patch, save_patch, white_noise
from ddsp_book.listening import Ear
from ddsp_book.matching import match
from ddsp_book.spectral import MultiScaleSpectralLoss
from ddsp_book.subtractive import SubtractiveSynth

BEGIN = {  # where the second begins; s
    "violin_A4": 0, "cello_C3": 0, "flute_A4": 0, "clarinet_D4": 0, "saxophone_G3": 0, "trumpet_C4": 0, "voice_sung_vocadito_14": 2.2,
    "voice_speech_arctic_a0009": 0.15, "rhodes_C4": 0, "epiano2_C5": 0, "marimba_C4": 0, "xylophone_C5": 0, "bell_perc_bell": 0,
    "chime_elec_chime": 0, "ir_living_room_1": 0}
SYNTHS = {"fm6": FM6Op, "subtractive": SubtractiveSynth}
FOLDER = DATA / "patches" / "gallery"


def recording(name):
    audio, rate = example(name)
    start = round(BEGIN[name] * rate)
    return torch.tensor(audio[start:start + rate], dtype=torch.float32), rate


def fit(name, synth, seconds):
    "Search for a patch and write its file."
    (sound, rate), row = recording(name), {row["name"]: row for row in examples()}[name]
    credit = f"the recording {name} ({row['attribution']}, {row['licence']})"
    title, path = f"{name.replace('_', ' ')}, {synth}", FOLDER / f"{name}_{synth}.json"
    start = time.process_time()
    if synth == "hybrid":
        model, _, _ = learn_note(sound.double().numpy(), rate, n_iters=1000, progress=False)
        patch = export(model, title, f"learned from {credit}")
        values, played = patch["values"], patch["performance"]  # as exact as one can hear
        for part, key in ((values, "harmonic_amps"), (values, "noise_fir"), (played, "f0_hz"), (played, "gain")):
            part[key] = [float(f"{v:.4g}") for v in part[key]]
        values["reverb_ir"] = [round(v, 5) for v in values["reverb_ir"]]
        patch["sha256"] = _digest(values)
        save_patch(path, patch)
    else:
        found = match(sound, rate, synth, seconds=seconds, clock=time.process_time, workers=1, progress=False)
        found.synth.panel.save(path, found.patch, title, f"matched to {credit} in {seconds:g} s of CPU time")
    return time.process_time() - start


def render(name, synth, sound, rate):
    "What a patch plays, as loud as the sound; and by how many numbers."
    path = FOLDER / f"{name}_{synth}.json"
    if synth == "hybrid":
        patch = load_patch(path)
        numbers = sum(len(patch["values"][key]) for key in ("harmonic_amps", "noise_fir", "reverb_ir"))
        return torch.tensor(render_patch(patch), dtype=torch.float32), numbers + sum(len(patch["performance"][key]) for key in ("f0_hz", "gain"))
    player = SYNTHS[synth](rate)
    patch = player.panel.load(path)
    numbers = sum(v.numel() for key, v in patch.items() if key not in ("fixed", "fixed_hz", "velocity"))
    with torch.no_grad(): return player(patch, len(sound))[0] * sound.abs().max() / 0.25, numbers


def table():
    text = io.StringIO()
    rows, loss = csv.writer(text, lineterminator="\n"), MultiScaleSpectralLoss()
    rows.writerow(("recording", "begin_s", "sound", "numbers", "distance_db", "loss"))
    for name in BEGIN:
        if not all((FOLDER / f"{name}_{synth}.json").exists() for synth in (*SYNTHS, "hybrid")): continue
        sound, rate = recording(name)
        ear = Ear(sound, rate)
        noise = torch.tensor(white_noise(len(sound)), dtype=torch.float32) * sound.square().mean().sqrt()
        sounds = {"silence": (0 * sound, 0), "noise": (noise, 1)}
        for synth in ("fm6", "subtractive", "hybrid"): sounds[synth] = render(name, synth, sound, rate)
        for which, (audio, numbers) in sounds.items():
            rows.writerow((name, BEGIN[name], which, numbers, f"{ear(audio[None]).item():.3f}", f"{loss(audio[None], sound[None]).item():.3f}"))
    def write(temporary):
        with open(temporary, "w", encoding="utf-8", newline="") as file: file.write(text.getvalue())
    replace_file(DATA / "results" / "gallery.csv", write)
    print(text.getvalue())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(BEGIN))
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument("--synths", nargs="*", default=["hybrid", "fm6", "subtractive"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        for synth in args.synths: print(f"{name} {synth}: {fit(name, synth, args.seconds):.0f} s of CPU time", flush=True)
    table()
