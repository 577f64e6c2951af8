"Training: exact resuming, two processes as one, the command `ddsp-train`, and what its models have learned."
import math, os, subprocess, sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from ddsp_book import training as T
from ddsp_book.audio import example
from ddsp_book.decoder import MODELS, DDSPDecoder, instrument_model, load_model
from ddsp_book.features import FeatureExtractor
from ddsp_book.recordings import Recordings
from ddsp_book.training import Training, evaluate, train
from test_decoder import RATE, same, tiny, tone
from test_recordings import put, sounds, two_sounds

torch.set_num_threads(1)
HOW = Training(steps=6, batch=2, seconds=0.3, loss="lightweight", every=2, lr=1e-2)


# ---- training

@pytest.mark.parametrize("kind", ["decoder", "model"])
def test_models_learn(kind, sounds):
    model = tiny(kind)
    before = evaluate(model, sounds)[0]
    log = train(model, sounds, HOW._replace(steps=60, every=30, batch=4), held_out=sounds, progress=False)
    assert log[-1]["held_out"] < 0.75 * before, (before, log)


@pytest.mark.parametrize("broken_at", [1, 3, 4])
def test_interrupted_training_goes_on_to_the_same_result(tmp_path, sounds, monkeypatch, broken_at):
    whole, part = tiny(), tiny()
    log = train(whole, sounds, HOW, tmp_path / "whole.pt", sounds, False)
    real, count = Recordings.windows, []
    def once(self, *args):
        count.append(1)
        if len(count) == broken_at + 1: raise KeyboardInterrupt
        return real(self, *args)
    monkeypatch.setattr(Recordings, "windows", once)
    with pytest.raises(KeyboardInterrupt): train(part, sounds, HOW, tmp_path / "part.pt", sounds, False)
    monkeypatch.undo()
    again = tiny(seed=5)  # what it holds does not matter once there is a checkpoint
    if broken_at < HOW.every: again = tiny()
    assert train(again, sounds, HOW, tmp_path / "part.pt", sounds, False) == log
    assert same(whole, again) and same(load_model(tmp_path / "whole.pt"), load_model(tmp_path / "part.pt"))


def test_an_interrupted_write_leaves_the_last_checkpoint(tmp_path, sounds, monkeypatch):
    whole, part = tiny(), tiny()
    log = train(whole, sounds, HOW, tmp_path / "whole.pt", None, False)
    real, count = torch.save, []
    def save(data, path):
        count.append(1)
        if len(count) == 4: Path(path).write_bytes(b"half"); raise KeyboardInterrupt
        real(data, path)
    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KeyboardInterrupt): train(part, sounds, HOW, tmp_path / "part.pt", None, False)
    monkeypatch.undo()
    assert train(tiny(), sounds, HOW, tmp_path / "part.pt", None, False) == log
    assert same(load_model(tmp_path / "whole.pt"), load_model(tmp_path / "part.pt")) and not list(tmp_path.glob("*.part*"))


def test_more_steps_go_on(tmp_path, sounds):
    train(tiny(), sounds, HOW, tmp_path / "a.pt", None, False)
    log = train(tiny(), sounds, HOW._replace(steps=8), tmp_path / "a.pt", None, False)
    assert [row["step"] for row in log] == [2, 4, 6, 8]


def test_a_checkpoint_of_another_training_is_refused(tmp_path, sounds):
    path = tmp_path / "a.pt"
    train(tiny(), sounds, HOW, path, None, False)
    other = Recordings([("other", tone(), "")], RATE, 128)
    for model, recordings, how, name in ((tiny("model"), sounds, HOW, "model"), (tiny(hidden=13), sounds, HOW, "settings"),
                                         (tiny(), other, HOW, "sounds"), (tiny(), sounds, HOW._replace(lr=1.0), "how")):
        with pytest.raises(ValueError, match=f"another training: {name}"): train(model, recordings, how, path, None, False)
    (tmp_path / "a.checkpoint.pt").write_bytes((tmp_path / "a.checkpoint.pt").read_bytes()[:2000])
    with pytest.raises(ValueError, match="damaged"): train(tiny(), sounds, HOW, path, None, False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_it(sounds, monkeypatch, bad):
    class Broken(torch.nn.Module):
        def forward(self, audio, target): return bad * audio.square().mean()
    monkeypatch.setitem(T.LOSSES, "lightweight", Broken)
    model = tiny()
    with pytest.raises(FloatingPointError, match="step 0"): train(model, sounds, HOW, progress=False)
    assert same(model, tiny())


def test_shares_of_a_batch_make_up_the_whole(sounds):
    how, loss = HOW._replace(batch=4), T.LOSSES["paper"]()
    def slope(rank, of):
        model = tiny()
        batch = T._batch(sounds, how, 3, rank, of, "cpu")
        loss(model(batch, batch["noise"]), batch["audio"]).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])
    whole, shares = slope(0, 1), [slope(0, 2), slope(1, 2)]
    assert (sum(shares) / 2 - whole).norm() < 1e-2 * whole.norm() < (shares[0] - shares[1]).norm()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_training import *
if __name__ == "__main__": train(tiny(), two_sounds(), CAREFUL, sys.argv[1], None, False)
"""
CAREFUL = HOW._replace(lr=1e-3)  # Adam makes much of a last bit, and more so in long steps


def test_two_processes_are_as_one(tmp_path, sounds):
    script = tmp_path / "two.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    ran = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, tmp_path / "two.pt"],
                         capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500)
    assert ran.returncode == 0, ran.stderr[-3000:]
    train(tiny(), sounds, CAREFUL, tmp_path / "one.pt", None, False)
    one, two = (torch.load(tmp_path / f"{name}.checkpoint.pt") for name in ("one", "two"))
    assert len(one["log"]) == 3 and one["sounds"] == two["sounds"]
    for a, b in zip(one["log"], two["log"]): assert a["loss"] == pytest.approx(b["loss"], rel=2e-3)


def test_noise_without_pitch_can_be_learned_from():
    hiss = Recordings([("hiss", 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0)), "")], RATE, 128)
    assert all(math.isfinite(row["loss"]) for row in train(tiny(), hiss, HOW, progress=False))


# ---- the command

FAST = ["--steps", "2", "--every", "1", "--batch", "2", "--seconds", "0.3", "--loss", "lightweight"]


@pytest.fixture
def quick(monkeypatch): monkeypatch.setitem(MODELS, "small", lambda **settings: tiny(**settings))


def run(*arguments): return T.main([str(a) for a in arguments] + FAST)


def test_the_command_writes_what_it_says(tmp_path, quick, capsys):
    sound = put(tmp_path / "violin.wav")
    assert run("--audio", sound, "--out", tmp_path / "model.pt") == 0
    names = {p.name for p in tmp_path.iterdir()} - {"violin.wav"}
    assert names == {"model.pt", "model.checkpoint.pt", "model_log.csv", "model_loss.png", "model_reconstructed.wav", "model_harmonic_only.wav", "model_noise_only.wav"}
    audio, rate = soundfile.read(tmp_path / "model_reconstructed.wav")
    assert rate == RATE and abs(len(audio) / rate - 0.8) < 0.05 and np.isfinite(audio).all()
    assert (tmp_path / "model_log.csv").read_text().splitlines()[0] == "step,loss" and (tmp_path / "model_loss.png").read_bytes()[:4] == b"\x89PNG"
    model = load_model(tmp_path / "model.pt")
    assert model.about["played"][""]["midi"][1] == pytest.approx(57, abs=0.1)


def test_the_command_reads_folders_of_all_sorts(tmp_path, quick, capsys):
    put(tmp_path / "in/a.wav"); put(tmp_path / "in/stereo.flac", np.stack([tone().numpy()] * 2, 1), 16000)
    put(tmp_path / "in/other_rate.wav", np.interp(np.arange(0, 9600, 16 / 44.1), np.arange(9600), tone().numpy()), 44100)
    put(tmp_path / "in/silent.wav", np.zeros(8000)); put(tmp_path / "in/blip.wav", np.ones(100) * 0.1); put(tmp_path / "in/short.wav", tone(seconds=0.06).numpy())
    (tmp_path / "in/damaged.flac").write_bytes(b"fLaC" + bytes(100)); (tmp_path / "in/notes.txt").write_text("no sound")
    assert run("--audio", tmp_path / "in", "--out", tmp_path / "m.pt", "--held-out", "stereo") == 0
    said = capsys.readouterr().err
    for name in ("silent", "blip", "damaged"): assert f"{name}." in said
    assert "other_rate" not in said and "short.wav" not in said and "notes" not in said
    assert (tmp_path / "m_log.csv").read_text().startswith("step,loss,held_out\n")


def test_the_command_learns_several_instruments(tmp_path, quick):
    put(tmp_path / "in/flute/a.wav"); put(tmp_path / "in/oboe/b.wav", tone(300).numpy())
    assert run("--audio", tmp_path / "in", "--out", tmp_path / "m.pt", "--instruments") == 0
    model = load_model(tmp_path / "m.pt")
    assert model.instruments == ("flute", "oboe") and set(model.about["played"]) == {"flute", "oboe"}


def test_the_command_says_what_is_wrong(tmp_path, quick, capsys):
    (tmp_path / "empty").mkdir(); put(tmp_path / "silent/a.wav", np.zeros(9000)); sound = put(tmp_path / "a.wav")
    cases = [((tmp_path / "none", tmp_path / "m.pt"), "no such"), ((tmp_path / "empty", tmp_path / "m.pt"), "holds no sounds"),
             ((tmp_path / "silent", tmp_path / "m.pt"), "silent"), ((sound, tmp_path / "no/m.pt"), "no such folder")]
    for (audio, out), why in cases:
        assert run("--audio", audio, "--out", out) == 1
        said = capsys.readouterr().err
        assert why in said and said.startswith("ddsp-train: ") and "Traceback" not in said
    assert run("--audio", sound, "--out", tmp_path / "m.pt") == 0
    assert run("--audio", sound, "--out", tmp_path / "m.pt", "--seed", "1") == 1 and "another training" in capsys.readouterr().err
    assert run("--audio", sound, "--out", tmp_path / "m.pt", "--seed", "1", "--fresh") == 0


def test_ctrl_c_and_again(tmp_path, quick, monkeypatch, capsys):
    sound, real, count = put(tmp_path / "a.wav"), Recordings.windows, []
    def once(self, *args):
        count.append(1)
        if len(count) == 2: raise KeyboardInterrupt
        return real(self, *args)
    monkeypatch.setattr(Recordings, "windows", once)
    assert run("--audio", sound, "--out", tmp_path / "m.pt") == 130 and "again" in capsys.readouterr().err
    assert run("--audio", sound, "--out", tmp_path / "m.pt") == 0 and len(count) == 3


@pytest.mark.parametrize("name, note", [("violin", "violin_A4"), ("flute", "flute_A4"), ("trumpet", "trumpet_G4")])
def test_shipped_instruments_play_a_note_they_have_not_learned(name, note):
    model = instrument_model(name)
    assert note.split("_")[1] in model.about["not_learned_from"][name]
    held_out = Recordings([(note, torch.tensor(example(note)[0][:3 * RATE]).float(), name)], RATE, model.hop)
    torch.manual_seed(0)
    loss, (audio,) = evaluate(model, held_out)
    assert loss < 0.75 * evaluate(DDSPDecoder.small(), held_out)[0]
    found, item = FeatureExtractor(RATE, RATE / model.hop)(audio), held_out[0]
    sounding = item["confidence"] > 0.8
    assert (1200 * (found["f0_hz"] / item["f0_hz"]).log2())[sounding].abs().median() < 15
    assert (found["loudness_db"] - item["loudness_db"])[sounding].abs().mean() < 3
