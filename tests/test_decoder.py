"Decoders: what they learn, exact resuming, two processes as one, files that are not what they should be, playing live."
import json, math, os, subprocess, sys
from pathlib import Path
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from ddsp_book import decoder as D
from ddsp_book.audio import DATA, example
from ddsp_book.decoder import MODELS, DDSPDecoder, DDSPModel, Live, Recordings, Training, evaluate, load_model, save_model, train, transfer
from ddsp_book.features import FeatureExtractor

torch.set_num_threads(1)
RATE = 16000
TINY = dict(hidden=12, layers=1, n_harmonics=8, bands=17, hop=128, reverb_s=0.02)
HOW = Training(steps=6, batch=2, seconds=0.3, loss="lightweight", every=2, lr=1e-2)


def tone(f_hz=220.0, seconds=0.6, level=0.3, decay=2.0):
    t = torch.arange(round(RATE * seconds)) / RATE
    return level * sum((2 * math.pi * k * f_hz * t).sin() / k for k in (1, 2, 3)) * (-decay * t).exp()


def tiny(kind="decoder", seed=0, **settings):
    torch.manual_seed(seed)
    if kind == "model": return DDSPModel(hidden=12, n_harmonics=8, bands=16, hop=128, **settings)
    return DDSPDecoder(**{**TINY, **settings})


def two_sounds(): return Recordings([("low", tone(220), ""), ("high", tone(330), "")], RATE, 128)


@pytest.fixture(scope="module")
def sounds(): return two_sounds()


def random_features(batch=2, frames=12, instruments=1):
    g = torch.Generator().manual_seed(1)
    return {"f0_hz": 200 + 200 * torch.rand(batch, frames, generator=g), "loudness_db": -30 + 10 * torch.randn(batch, frames, generator=g),
            "mfcc": torch.randn(batch, frames, 30, generator=g), "instrument": torch.arange(batch) % instruments}


# ---- models

def test_sizes():
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in MODELS.items()}
    assert count["small"] <= 500_000 < count["lightweight"] < 4_000_000 < count["paper"] < 10_000_000, count
    paper, light = DDSPDecoder(), DDSPModel()
    assert paper.gru.hidden_size == 512 and paper.oscillator.n_harmonics == 100 and paper.hiss.bands == 65 and paper.reverb.length == RATE
    assert light.synthesizer.gru.num_layers == 2 and light.synthesizer.gru.input_size == 32 and light.synthesizer.gru.hidden_size == 512
    assert light.mix.sigmoid().item() == pytest.approx(0.8)


@pytest.mark.parametrize("model", [tiny(), tiny("model"), tiny(noise=False), tiny(reverb_s=0.0), tiny(z=4), tiny(instruments=("a", "b"))], ids=range(6))
def test_a_model_makes_sound_and_every_parameter_gets_a_gradient(model):
    features = random_features(instruments=len(model.instruments))
    audio = model(features)
    assert audio.shape == (2, 12 * 128) and audio.isfinite().all() and audio.abs().max() > 0
    audio.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


def test_untrained_models_do_not_clip():
    for make in MODELS.values():
        torch.manual_seed(0)
        with torch.no_grad(): assert make()(random_features(1, 30)).abs().max() < 4


def test_parts_add_up_in_the_room():
    model, features = tiny(), random_features()
    noise = torch.rand(2, 12 * 128)
    parts = model.parts(features, noise)
    assert torch.allclose(model(features, noise), model.room(parts["harmonic"] + parts["noise"]))


@pytest.mark.parametrize("ringing", [False, True])
def test_the_room_changes_no_tone_by_much(ringing):
    room, n = D.Room(2000, 0.2), 2000
    if ringing:  # what a free room learns: a tone that fades
        with torch.no_grad(): room.room.copy_(torch.sin(torch.arange(n - 1) * 0.3) * torch.exp(-torch.arange(n - 1) / 500))
    h = room.impulse_response().detach()
    assert h.shape == (n,) and h[0] == 1
    gain = np.abs(scipy.signal.freqz(h.double().numpy(), worN=40000)[1])
    assert 0.79 < gain.min() and gain.max() < 1.21
    wet = np.abs(scipy.signal.freqz(h[1:].double().numpy(), worN=40000)[1])
    assert 0.19 < wet.max() < 0.205
    with torch.no_grad(): room.room.zero_()
    room.impulse_response().sum().backward()
    assert room.room.grad.isfinite().all()
    free = D.Room(2000, 1e9)
    assert torch.allclose(free.impulse_response()[1:], free.room)


def test_the_gru_goes_on_from_its_state():
    model, features = tiny(), random_features(1, 20)
    whole, _ = model.controls(features)
    state, pieces = None, []
    for a, b in ((0, 3), (3, 4), (4, 20)):
        c, state = model.controls({k: v[:, a:b] if v.ndim > 1 else v for k, v in features.items()}, state)
        pieces.append(c)
    for name in whole: assert torch.allclose(torch.cat([p[name] for p in pieces], 1), whole[name], atol=1e-6)


def test_instruments_and_timbre_are_heard():
    features = random_features(2)
    same = {k: v[:1].expand(2, *v.shape[1:]) for k, v in features.items()}
    a, b = tiny(instruments=("a", "b")).controls({**same, "instrument": torch.tensor([0, 1])})[0]["amplitude"]
    assert (a - b).abs().max() > 1e-4
    a, b = tiny(z=3).controls({**same, "mfcc": features["mfcc"]})[0]["amplitude"]
    assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("model, change, name", [
    (tiny(), {"loudness_db": torch.zeros(2, 5)}, "loudness_db"), (tiny(), {"f0_hz": torch.zeros(12)}, "f0_hz"),
    (tiny(z=2), {"mfcc": torch.zeros(2, 12, 13)}, "mfcc"), (tiny("model"), {"mfcc": None}, "mfcc"),
    (tiny(instruments=("a", "b")), {"instrument": None}, "instrument"), (tiny(), {"f0_hz": torch.full((2, 12), math.nan)}, "f0_hz")])
def test_features_that_do_not_fit(model, change, name):
    features = {k: v for k, v in {**random_features(), **change}.items() if v is not None}
    with pytest.raises(ValueError, match=f"^{name}"): model(features)


def test_lightweight_learns_one_instrument():
    with pytest.raises(ValueError, match="instruments"): DDSPModel(instruments=("a", "b"))


# ---- recordings

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
    log = train(tiny(), hiss, HOW, progress=False)
    assert all(math.isfinite(row["loss"]) for row in log)


# ---- training

@pytest.mark.parametrize("kind", ["decoder", "model"])
def test_models_learn(kind, sounds):
    model = tiny(kind)
    before = evaluate(model, sounds)[0]
    log = train(model, sounds, HOW._replace(steps=60, every=30, batch=4), held_out=sounds, progress=False)
    assert log[-1]["held_out"] < 0.75 * before, (before, log)


def same(a, b): return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


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
    monkeypatch.setitem(D.LOSSES, "lightweight", Broken)
    model = tiny()
    with pytest.raises(FloatingPointError, match="step 0"): train(model, sounds, HOW, progress=False)
    assert same(model, tiny())


def test_shares_of_a_batch_make_up_the_whole(sounds):
    how, loss = HOW._replace(batch=4), D.LOSSES["paper"]()
    def slope(rank, of):
        model = tiny()
        batch = D._batch(sounds, how, 3, rank, of, "cpu")
        loss(model(batch, batch["noise"]), batch["audio"]).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])
    whole, shares = slope(0, 1), [slope(0, 2), slope(1, 2)]
    assert (sum(shares) / 2 - whole).norm() < 1e-2 * whole.norm() < (shares[0] - shares[1]).norm()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_decoder import *
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


# ---- files

def test_a_model_comes_back(tmp_path):
    for model in (tiny(instruments=("a", "b"), z=2), tiny("model")):
        model.about["name"] = "test"
        save_model(tmp_path / "a.pt", model)
        back = load_model(tmp_path / "a.pt")
        assert same(model, back) and back.about == model.about and back.settings == model.settings and back.instruments == model.instruments
    save_model(tmp_path / "half.pt", model, half=True)
    half, whole = load_model(tmp_path / "half.pt"), load_model(tmp_path / "a.pt")
    assert (tmp_path / "half.pt").stat().st_size < (tmp_path / "a.pt").stat().st_size
    assert all(torch.allclose(a, b, atol=1e-3) and a.dtype == torch.float32 for a, b in zip(half.state_dict().values(), whole.state_dict().values()))


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(FileNotFoundError, match="no file"): load_model(path)
    save_model(path, tiny())
    whole, data = path.read_bytes(), torch.load(path)
    cases = {"damaged": whole[:500], "not a model": b"hello", "version": {**data, "version": 99}, "expected": {**data, "model": "Piano"},
             "does not fit": {**data, "settings": {**data["settings"], "hidden": 99}}, "fit": {**data, "settings": {"unknown": 1}}, "format": [1, 2]}
    for what, content in cases.items():
        if isinstance(content, bytes): path.write_bytes(content)
        else: torch.save(content, path)
        with pytest.raises(ValueError, match=what) as error: load_model(path)
        assert "a.pt" in str(error.value)
    class Bomb:
        def __reduce__(self): return os.system, (f"touch {tmp_path / 'boom'}",)
    torch.save({**data, "about": Bomb()}, path)
    with pytest.raises(ValueError): load_model(path)
    assert not (tmp_path / "boom").exists()


# ---- the command

FAST = ["--steps", "2", "--every", "1", "--batch", "2", "--seconds", "0.3", "--loss", "lightweight"]


@pytest.fixture
def quick(monkeypatch): monkeypatch.setitem(MODELS, "small", lambda **settings: tiny(**settings))


def run(*arguments): return D.main([str(a) for a in arguments] + FAST)


def put(path, audio=None, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone().numpy() if audio is None else audio, rate)
    return path


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


def test_nsynths_layout(tmp_path):
    notes = {"guitar_acoustic_001-060-127": "guitar", "flute_synthetic_000-069-025": "flute"}
    for name in notes: put(tmp_path / f"nsynth/audio/{name}.wav", tone(seconds=0.5).numpy())
    table = {name: {"note_str": name, "pitch": int(name.split("-")[1]), "velocity": 25, "sample_rate": 16000, "instrument_family_str": family,
                    "instrument_str": name.split("-")[0], "qualities": [0] * 10} for name, family in notes.items()}
    (tmp_path / "nsynth/examples.json").write_text(json.dumps(table))
    recordings, held_out, failed = D.read_recordings(tmp_path / "nsynth", hop=128)
    assert recordings.instruments == ("flute", "guitar") and len(recordings) == 2 and held_out is None and not failed
    _, held_out, _ = D.read_recordings(tmp_path / "nsynth", hop=128, held_out=("nothing",))
    assert held_out is None
    (tmp_path / "nsynth/examples.json").write_text("[1]")
    with pytest.raises(ValueError, match="NSynth"): D.read_recordings(tmp_path / "nsynth")


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


# ---- playing

def test_live_is_the_model_itself_but_later():
    model, frames = tiny(hop=128, bands=17).eval(), 24
    features = random_features(1, frames)
    g = torch.Generator().manual_seed(7)
    live, pieces = Live(model, seed=7), []
    for a, b in ((0, 1), (1, 9), (9, 12), (12, 24)):
        pieces.append(live.play(features["f0_hz"][0, a:b], features["loudness_db"][0, a:b]))
    live_audio = torch.cat(pieces)
    first = {k: torch.cat([v[:, :1], v], 1) if v.ndim > 1 else v for k, v in features.items()}  # it waits on its first frame
    with torch.no_grad():
        c, _ = model.controls(features)
        c = {k: torch.cat([v[:, :1], v], 1) for k, v in c.items()}
        noise = torch.cat([D.white((1, (b - a) * 128), g) for a, b in ((0, 1), (1, 9), (9, 12), (12, 24))], 1)
        dry = model.oscillator(first["f0_hz"], c["amplitude"], c["distribution"])[:, :frames * 128]
        dry = dry + model.hiss(c["magnitudes"][:, :frames], noise)
        whole = model.room(dry)[0]
    assert live_audio.shape == whole.shape
    assert (live_audio[64:] - whole[:-64]).abs().max() < 1e-5 and live_audio.abs().max() > 1e-3


def test_transfer_moves_pitch_and_loudness():
    model = tiny()
    model.about["played"] = {"": {"midi": [70, 72, 74], "loudness_db": [-30, -20, -10]}}
    voice = tone(110, 1.0, 0.05, 0.5)  # MIDI 45
    features = FeatureExtractor(RATE, RATE / 128)(voice[None])
    f0_hz, loudness_db = D.aligned(features, model.about["played"][""])
    assert float(f0_hz.median()) == pytest.approx(440, rel=0.01)
    assert abs(float(loudness_db.median()) + 20) < 1
    assert float(D.aligned(features, model.about["played"][""], octaves=-1)[0].median()) == pytest.approx(55, rel=0.01)
    audio = transfer(model, voice, RATE)
    assert audio.shape == voice.shape and audio.isfinite().all() and torch.equal(audio, transfer(model, voice, RATE))
    assert abs(len(transfer(model, voice[:12000], 12000)) - RATE) <= 1
    with pytest.raises(ValueError, match="silence"): transfer(model, torch.zeros(9000), RATE)
    with pytest.raises(ValueError, match="instrument"): transfer(model, voice, RATE, "oboe")
    with pytest.raises(ValueError, match="audio"): transfer(model, torch.zeros(2, 9000), RATE)


# ---- what ships

SHIPPED = sorted((DATA / "weights").glob("*.pt"))
@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_weights(path):
    model = load_model(path)
    assert path.stat().st_size < 1_000_000 and sum(p.numel() for p in model.parameters()) <= 500_000
    assert model.about["licence"] == "CC-BY-3.0" and "Brosowsky" in model.about["origin"] and set(model.about["played"]) == set(model.instruments)


@pytest.mark.parametrize("name, note", [("violin", "violin_A4"), ("flute", "flute_A4"), ("trumpet", "trumpet_G4")])
def test_shipped_instruments_play_a_note_they_have_not_learned(name, note):
    model = D.instrument_model(name)
    assert note.split("_")[1] in model.about["not_learned_from"][name]
    held_out = Recordings([(note, torch.tensor(example(note)[0][:3 * RATE]).float(), name)], RATE, model.hop)
    torch.manual_seed(0)
    loss, (audio,) = evaluate(model, held_out)
    assert loss < 0.6 * evaluate(DDSPDecoder.small(), held_out)[0]
    found, item = FeatureExtractor(RATE, RATE / model.hop)(audio), held_out[0]
    sounding = item["confidence"] > 0.8
    assert (1200 * (found["f0_hz"] / item["f0_hz"]).log2())[sounding].abs().median() < 15
