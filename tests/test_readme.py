"The README's promises."
import re
from pathlib import Path
import numpy as np
from ddsp_book.audio import example, read, write

README = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")

def test_its_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note, rate = example("flute_A4")
    write("note.wav", note[:rate], rate)
    exec(re.search(r"```python\n(.*?)```", README, re.S)[1], {})
    made, _ = read("note_E4.wav")
    spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made))))
    peak_hz = spectrum.argmax() * rate / len(made)
    assert min(abs(peak_hz / k - 330) for k in range(1, 5)) < 2, "it plays E4, not the A4 that it learned"

def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README): assert (Path(__file__).parents[1] / target).exists(), target
