"Trackers on every note that comes with the book, first 3 s: `python tests/make_features.py` (5 minutes), extra `crepe`."
import csv, time
import numpy as np
import torch
from ddsp_book.audio import DATA, cents, example, examples, replace_file
from ddsp_book.features import FeatureExtractor, track_pitch

torch.set_num_threads(1)
rows = []
for row in examples():
    if row["kind"] != "note": continue
    audio, sample_rate = example(row["name"])
    audio = torch.tensor(audio[None, :3 * sample_rate], dtype=torch.float32)
    level = FeatureExtractor()(audio)["loudness_db"][0]
    sounding = (level > level.max() - 30).numpy()
    for method in ("yin", "pyin", "crepe"):
        began = time.process_time()
        f0_hz, _ = track_pitch(audio, sample_rate, 64, method)
        took = time.process_time() - began
        off = cents(f0_hz[0].double().numpy(), float(row["nominal_hz"]))[sounding]
        rows.append(dict(name=row["name"], method=method, median_cents=f"{np.median(off):.2f}",
                         within_50=f"{np.mean(abs(off) < 50):.4f}", octave=f"{np.mean(abs(off) > 600):.4f}",
                         times_real_time=f"{audio.shape[1] / sample_rate / took:.2f}"))
        print(rows[-1], flush=True)

def write(path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)

replace_file(DATA / "results" / "pitch.csv", write)
