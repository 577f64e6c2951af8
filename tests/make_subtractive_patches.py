"""Writes ddsp_book/data/patches/subtractive: own patches for the subtractive synth, and prints how loud, how high and how
bright each of them is. Brightness and its course were set beside those of the book's recordings."""
from pathlib import Path
import numpy as np
import torch
from ddsp_book.audio import example
from ddsp_book.subtractive import FILTERS, SubtractiveSynth

FOLDER = Path(__file__).parents[1] / "ddsp_book" / "data" / "patches" / "subtractive"
ORIGIN = "made for this book, CC0"

# name: title, recording that it was set beside; what differs from the default; then three rows:
# filter, cutoff_hz, resonance, sweep_octaves, key_tracking
# attack_s, decay_s, sustain, release_s of the filter
# attack_s, decay_s, sustain, release_s, curve of the loudness
PATCHES = {
    "bass": ("Bass", None, dict(saw=.9, pulse=.6, width=.35, second=.5, detune_cents=6, f0_hz=55, note_s=.6),
        ("low-pass 24", 230, 1.4, 3.3, .5), (.002, .45, .2, .12), (.002, 1.8, .6, .1, 3)),
    "acid": ("Acid bass", None, dict(saw=.8, f0_hz=82.4069, note_s=.3),
        ("low-pass 24", 210, 9, 3.4, .3), (.002, .3, .1, .15), (.002, .8, .6, .06, 3)),
    "lead": ("Lead", None, dict(saw=.5, pulse=.9, width=.28, second=.9, detune_cents=9, f0_hz=440, note_s=1),
        ("low-pass", 1200, 2, 1.8, .6), (.008, .5, .45, .3), (.004, .4, .8, .16, 3)),
    "brass": ("Brass", "trumpet_C4", dict(saw=.52, second=.5, detune_cents=5, f0_hz=261.6256, note_s=1),
        ("low-pass 24", 800, 1.3, 2.1, .6), (.05, .5, .65, .15), (.03, .3, .85, .12, 3)),
    "strings": ("Strings", "violin_G3", dict(saw=1, pulse=.25, width=.3, second=1, detune_cents=10, f0_hz=196, note_s=2),
        ("band-pass", 900, .5, .7, .4), (.35, 1.2, .5, .6), (.2, 1, .9, .6, 2)),
    "pad": ("Warm pad", None, dict(saw=.3, pulse=.9, width=.22, triangle=.4, second=1, detune_cents=-12, f0_hz=164.8138, note_s=3),
        ("low-pass 24", 280, 1.8, 2.8, .5), (1.4, 2.5, .35, 2), (.6, 2, .85, 1.8, 1)),
    "organ": ("Organ", None, dict(saw=0, pulse=.16, sine=.16, triangle=.06, second=.4, detune_cents=3, f0_hz=261.6256, note_s=1),
        ("low-pass", 1900, .8, 2, .8), (.001, .06, 0, .03), (.005, .1, 1, .04, 0)),
    "clavinet": ("Clavinet", None, dict(saw=.08, pulse=.5, width=.11, second=.35, detune_cents=2, f0_hz=130.8128, note_s=.5),
        ("band-pass", 850, .8, 2.1, .6), (.001, .5, .1, .06), (.001, 1.8, 0, .06, 5)),
    "flute": ("Flute", "flute_A4", dict(saw=.3, triangle=.2, noise=.1, f0_hz=440, note_s=1.2),
        ("low-pass 24", 640, 1.8, .5, 1), (.09, .8, .8, .12), (.07, .5, .9, .12, 2)),
    "kick": ("Kick drum", None, dict(saw=0, sine=1, triangle=.3, noise=.4, f0_hz=51.9131, note_s=.25),
        ("low-pass 24", 110, 1.2, 6, .5), (.001, .09, 0, .05), (.001, .6, 0, .15, 4)),
    "wind": ("Wind", None, dict(saw=0, noise=1, f0_hz=440, note_s=4),
        ("low-pass", 440, 8, 1.2, 1), (1.8, 2.4, .25, 2), (1.2, 2, .8, 1.8, 0)),
}

def patch(panel, knobs, filter, of_filter, of_loudness):
    "One row of PATCHES as SubtractiveSynth takes it."
    kind, *rest = filter
    values = {**knobs, "filter": FILTERS.index(kind), **dict(zip(("cutoff_hz", "resonance", "sweep_octaves", "key_tracking"), rest)),
              **dict(zip(("filter_attack_s", "filter_decay_s", "filter_sustain", "filter_release_s"), of_filter)),
              **dict(zip(("attack_s", "decay_s", "sustain", "release_s", "curve"), of_loudness))}
    unknown = values.keys() - panel.knobs.keys()
    if unknown: raise ValueError(f"no such knobs: {unknown}")
    default = panel.defaults(dtype=torch.float64)
    return {key: torch.tensor([float(values[key])], dtype=torch.float64) if key in values else default[key] for key in panel.knobs}

def course(audio, rate, at_s):
    "Spectral centroid around each moment, Hz."
    def centroid(t):
        i = int(t * rate)
        part = audio[i:i + rate // 10]
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        return float(power @ np.fft.rfftfreq(len(part), 1 / rate) / (power.sum() + 1e-20))
    return " ".join(f"{centroid(t):5.0f}" for t in at_s)

def pitch(audio, rate, f0_hz):
    "How far the strongest repetition near `f0_hz` lies from it, cents (McLeod's normalised differences)."
    near = rate / f0_hz
    lags = np.arange(int(near * 0.8), int(near * 1.25) + 2)
    same = np.array([2 * audio[k:] @ audio[:-k] / (audio[k:] @ audio[k:] + audio[:-k] @ audio[:-k]) for k in lags])
    i = min(max(same.argmax(), 1), len(lags) - 2)
    l, m, r = same[i - 1:i + 2]
    return 1200 * np.log2(near / (lags[i] + (l - r) / (2 * (l - 2 * m + r))))

if __name__ == "__main__":
    rate, at_s, moments = 48000, (0.0, 0.1, 0.2, 0.5, 0.8), "brightness at 0, 0.1, 0.2, 0.5, 0.8 s"
    synth = SubtractiveSynth(rate)
    panel = synth.panel
    FOLDER.mkdir(exist_ok=True)
    for name, (title, beside, *rest) in PATCHES.items():
        made = patch(panel, *rest)
        panel.save(FOLDER / f"{name}.json", made, title, ORIGIN)
        note = [synth({**made, "f0_hz": made["f0_hz"] * octave}, rate)[0].numpy() for octave in (1, 0.5, 2)]
        held = note[0][:int(made["note_s"][0] * rate)]
        print(f"{name:9} peak {' '.join(f'{np.abs(y).max():.2f}' for y in note)}  rms {20 * np.log10(np.sqrt(np.mean(held**2))):5.1f} dB"
              f"  {pitch(held[len(held) // 2:], rate, float(made['f0_hz'][0])):6.1f} cents  {moments}: {course(note[0], rate, at_s)} Hz")
        if beside:
            audio, fs = example(beside)
            print(f"{'':70}{beside}: {course(audio, fs, at_s)} Hz")
