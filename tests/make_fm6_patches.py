"""Writes ddsp_book/data/patches/fm6: own patches for the six-operator synth, one table each.
Designed by measurement: partials and decays were set beside those of the book's recordings."""
from pathlib import Path
import torch
from ddsp_book.fm6 import FM6Op

FOLDER = Path(__file__).parents[1] / "ddsp_book" / "data" / "patches" / "fm6"
ORIGIN = "made for this book, CC0"

# name, algorithm, feedback, curve, f0_hz, note_s; then operators 1…6:
# ratio (or "660 Hz": fixed), detune_cents, level, attack_s, decay_s, sustain, release_s
PATCHES = {
    "electric_piano": ("Electric piano", 5, 0.05, 5, 261.6256, 1.5, """
        1      0     .50   .002  9     0     .25
        14     0     .055  .001  .25   0     .1
        1      1     .54   .002  10    0     .25
        1      0     .280  .001  3     .2    .3
        1     -1     .42   .002  8     0     .25
        2      0     .150  .001  2     .15   .3"""),
    "bell": ("Bell", 5, 0, 5, 440, 2, """
        1      0     .50   .001  9     0     6
        3.5    2     .28   .001  7     0     6
        1      2     .42   .001  7     0     5
        3.5   -3     .19   .001  4     0     4
        2.756  0     .26   .001  4     0     3
        5.404  0     .15   .001  1.5   0     2"""),
    "brass": ("Brass", 22, 0.13, 3, 261.6256, 1, """
        1      0     .40   .025  .3    .85   .12
        1      1     .36   .06   .35   .75   .15
        1      1     .40   .03   .3    .85   .12
        1     -1     .40   .03   .3    .85   .12
        1      0     .40   .04   .3    .85   .12
        1      0     .42   .07   .5    .65   .15"""),
    "bass": ("Bass", 16, 0.11, 5, 65.4064, 0.6, """
        1      0     .58   .002  3     .25   .08
        1      0     .30   .001  .9    .25   .1
        2      0     .16   .001  .6    .1    .1
        5      0     .14   .001  .06   0     .05
        1      3     .22   .001  1.5   .25   .1
        3      0     .22   .001  .3    .15   .1"""),
    "strings": ("Strings", 2, 0.15, 2, 220, 2, """
        1     -4     .40   .20   1     .9    .5
        1      4     .30   .22   1     .85   .5
        1      4     .40   .26   1     .9    .6
        1     -3     .24   .20   1     .8    .5
        1      3     .12   .30   1     .7    .5
        4     -4     .06   .15   1     .7    .5"""),
    "marimba": ("Marimba", 5, 0, 6, 261.6256, 0.3, """
        1      0     .95   .002  1.5   0     .9
        1      0     .02   .001  .3    0     .2
        3.98   0     .24   .001  .5    0     .4
        9.2    0     .08   .001  .03   0     .03
        9.9    0     .45   .001  .10   0     .1
        3.4    0     .25   .001  .02   0     .02"""),
    "organ": ("Organ", 32, 0.05, 0, 261.6256, 1, """
        .5     0     .62   .008  .1    1     .03
        1      0     .80   .006  .1    1     .03
        1.5    0     .45   .006  .1    1     .03
        2      1     .50   .005  .1    1     .03
        3      0     .22   .004  .06   .6    .03
        4     -1     .26   .004  .08   .8    .03"""),
    "flute": ("Flute", 5, 0.04, 2, 523.2511, 1, """
        1      0     .66   .07   .3    .88   .12
        1      0     .110  .09   .5    .8    .1
        2      0     .15   .09   .3    .8    .1
        2      0     .09   .09   .4    .7    .1
        3      0     .16   .012  .09   .06   .06
        "3100 Hz"  0 .35   .010  .08   .03   .05"""),
    "clavinet": ("Clavinet", 3, 0.16, 5, 130.8128, 0.5, """
        1      0     .52   .001  3     0     .05
        3      0     .30   .001  1.8   .05   .05
        5      0     .10   .001  .3    0     .05
        1      2     .52   .001  2.4   0     .05
        2     -1     .42   .001  1.4   .1    .05
        7      0     .16   .001  .6    .1    .05"""),
    "glass_pad": ("Glass pad", 19, 0.03, 1, 329.6276, 3, """
        1     -4     .60   .8    2     .8    1.8
        1      3     .08   1.5   3     .4    1.5
        7      2     .03   .4    3     .3    1.5
        2      5     .30   1.2   2     .7    2
        3     -5     .14   .6    2.5   .5    2
        5      0     .07   2     3     .5    1.5"""),
}

def patch(algorithm, feedback, curve, f0_hz, note_s, table):
    "One row of PATCHES as FM6Op takes it."
    rows = [line.replace('"', "").replace(" Hz", "Hz").split() for line in table.strip().splitlines()]
    fixed = [row[0].endswith("Hz") for row in rows]
    column = lambda i: [[float(row[i]) for row in rows]]
    return {key: torch.tensor(value, dtype=torch.float64) for key, value in {
        "algorithm": [algorithm], "feedback": [feedback], "curve": [curve], "f0_hz": [f0_hz], "note_s": [note_s], "velocity": [1.0],
        "ratio": [[1.0 if f else float(row[0]) for f, row in zip(fixed, rows)]], "fixed": [[float(f) for f in fixed]],
        "fixed_hz": [[float(row[0][:-2]) if f else 440.0 for f, row in zip(fixed, rows)]],
        "detune_cents": column(1), "level": column(2), "attack_s": column(3), "decay_s": column(4), "sustain": column(5), "release_s": column(6),
    }.items()}

if __name__ == "__main__":
    panel = FM6Op().panel
    FOLDER.mkdir(exist_ok=True)
    for name, (title, *rest) in PATCHES.items():
        values = patch(*rest)
        panel.save(FOLDER / f"{name}.json", {key: values[key] for key in panel.knobs}, title, ORIGIN)
