"""Make the patches in ddsp_book/data/patches: one second of each recording, learned by `ddsp_book.hybrid.learn_note`.

    python tests/make_patches.py

Takes about a minute on two cores. The same versions give the same patches up to rounding.
"""

from ddsp_book.audio import DATA, example, examples
from ddsp_book.hybrid import SpectralLoss, export, learn_note, save_patch

for row in examples():
    if row["name"] not in ("violin_A4", "trumpet_C4", "flute_A4", "clarinet_D4", "cello_C3", "saxophone_G3"): continue
    audio, sample_rate = example(row["name"])
    note = audio[:sample_rate]
    model, losses, _ = learn_note(note, sample_rate, n_iters=1000)
    credit = f'learned from the recording {row["name"]} ({row["licence"]}; {row["attribution"]})'
    save_patch(DATA / "patches" / f"{row['name']}.json", export(model, f'{row["instrument"].capitalize()} {row["note"]}', credit))
    print(f'{row["name"]}: {SpectralLoss(note).distance_db(model.synth()):.2f} dB from the recording')
