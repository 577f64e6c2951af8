"Recordings: windows are what was played, short sounds and noise, files and folders, NSynth's layout."
import json

import pytest
import soundfile
import torch
from ddsp_book.features import FeatureExtractor
from ddsp_book.recordings import Recordings, read_recordings
from test_decoder import RATE, tone

torch.set_num_threads(1)


def two_sounds(): return Recordings([("low", tone(220), ""), ("high", tone(330), "")], RATE, 128)


@pytest.fixture(scope="module")
def sounds(): return two_sounds()


def put(path, audio=None, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone().numpy() if audio is None else audio, rate)
    return path


def test_windows_are_what_was_played(sounds):
    g = torch.Generator().manual_seed(3)
    batch = sounds.windows(16, 20, g)
    assert batch["audio"].shape == (16, 20 * 128) and batch["f0_hz"].shape == (16, 20) and batch["mfcc"].shape == (16, 20, 30)
    found = FeatureExtractor(RATE, RATE / 128)(batch["audio"])
    inner = slice(5, 15)
    assert (found["loudness_db"] - batch["loudness_db"])[:, inner].abs().median() < 0.01
    quieter = sounds.windows(16, 20, torch.Generator().manual_seed(3), 12.0)
    assert torch.allclose((quieter["audio"] ** 2).sum(1).log10() * 10 - (batch["audio"] ** 2).sum(1).log10() * 10,
                          (quieter["loudness_db"] - batch["loudness_db"])[:, 0], atol=1e-3)


def test_short_clips_are_padded():
    short = Recordings([("blip", tone(seconds=0.06), "")], RATE, 128)
    batch = short.windows(3, 100, torch.Generator().manual_seed(0))
    assert batch["audio"].shape == (3, 12800) and batch["mfcc"].shape == (3, 100, 30) and all(x.isfinite().all() for x in batch.values())
    assert batch["audio"][:, 6000:].abs().max() == 0


def test_noise_without_pitch_is_told_and_learned_from():
    hiss = Recordings([("hiss", 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0)), "")], RATE, 128)
    assert hiss.unpitched() == ["hiss"]


def test_nsynths_layout(tmp_path):
    notes = {"guitar_acoustic_001-060-127": "guitar", "flute_synthetic_000-069-025": "flute"}
    for name in notes: put(tmp_path / f"nsynth/audio/{name}.wav", tone(seconds=0.5).numpy())
    table = {name: {"note_str": name, "pitch": int(name.split("-")[1]), "velocity": 25, "sample_rate": 16000, "instrument_family_str": family,
                    "instrument_str": name.split("-")[0], "qualities": [0] * 10} for name, family in notes.items()}
    (tmp_path / "nsynth/examples.json").write_text(json.dumps(table))
    recordings, held_out, failed = read_recordings(tmp_path / "nsynth", hop=128)
    assert recordings.instruments == ("flute", "guitar") and len(recordings) == 2 and held_out is None and not failed
    _, held_out, _ = read_recordings(tmp_path / "nsynth", hop=128, held_out=("nothing",))
    assert held_out is None
    (tmp_path / "nsynth/examples.json").write_text("[1]")
    with pytest.raises(ValueError, match="NSynth"): read_recordings(tmp_path / "nsynth")
