"Growing: strategies against closed forms, stages to the sample, silence that is silent, no clicks, and the command."
import math
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from ddsp_book import grower as G
from ddsp_book.decoder import save_model, white
from ddsp_book.envelope import adsr
from ddsp_book.grower import STRATEGIES, Stage, exponential, fibonacci, grow, linear, plan, spans
from ddsp_book.partials import breath_of, heard, held
from conftest import ROOT
from test_decoder import RATE, tiny, tone

torch.set_num_threads(1)


# ---- strategies

@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 20, 64, 100])
def test_strategies_against_closed_forms(n):
    golden = (1 + 5**0.5) / 2
    doubled = [2**i for i in range(20)]
    sums = [round(golden ** (i + 2) / 5**0.5) for i in range(20)]  # Binet
    for got, series in ((exponential(n), doubled), (fibonacci(n), sums)):
        assert got == [count for count in series if count < n] + [n]
    for stages in (1, 2, 8, 200):
        got = linear(n, stages)
        exact = np.linspace(n, 1, stages) if stages > 1 else [n]
        assert got[-1] == n and got == sorted(set(got)) and (stages == 1 or got[0] == 1) and len(got) == min(stages, n if stages > 1 else 1)
        if stages <= n: assert all(0 <= count - x < 1 for count, x in zip(got, sorted(exact)))


@pytest.mark.parametrize("strategy", STRATEGIES.values())
@pytest.mark.parametrize("n", [0, -1, 1.5, math.nan, "2", None])
def test_strategies_need_a_count(strategy, n):
    with pytest.raises(ValueError, match="^n: expected a whole number"): strategy(n)


def test_plan():
    score = plan("exponential", 8, seconds=0.3)
    assert [len(stage.harmonics) for stage in score] == [1, 2, 4, 8, 8] and [stage.noise for stage in score] == [False] * 4 + [True]
    assert all(stage.seconds == 0.3 and stage.silence_s == 0.2 and stage.harmonics == tuple(range(1, len(stage.harmonics) + 1)) for stage in score)
    assert [stage.noise for stage in plan("linear", 8, "always")] == [True] * 8 and not any(stage.noise for stage in plan("linear", 8, "never"))
    assert np.allclose([stage.louder_db for stage in plan([1, 2, 3], 8, louder_db=(-12, 0))], [-12, -8, -4, 0])
    assert {stage.louder_db for stage in plan([1, 2], 8, louder_db=3)} == {3.0}
    own = plan(lambda n: [[n], {1, n}, 0], 5, "never")
    assert [stage.harmonics for stage in own] == [(5,), (1, 5), ()]


@pytest.mark.parametrize("arguments, name", [(("cubic", 8), "strategy"), (([], 8), "strategy"), (("linear", 8, "sometimes"), "noise"),
                                             (([9], 8), "harmonics"), (([[0]], 8), "harmonics"), (([1.5], 8), "harmonics"), (("linear", 0), "n"),
                                             (("linear", 8, "end", (0, 1, 2)), "louder_db"), (("linear", 8, "end", math.nan), "louder_db")])
def test_plan_says_what_is_wrong(arguments, name):
    with pytest.raises(ValueError, match=f"^{name}"): plan(*arguments)


# ---- growing

def test_lengths_are_right_to_the_sample():
    model = tiny()
    score = [Stage((1,), seconds=0.31, silence_s=0.123), Stage((1, 2), seconds=0.5, silence_s=0.0), Stage((1,), seconds=0.2001, silence_s=9.0)]
    where = spans(score, RATE)
    assert where == [(0, 4960), (4960 + 1968, 8000), (4960 + 1968 + 8000, 3202)]
    audio = grow(model, held(model, 300.0, -20.0, 1.0), score)
    assert audio.shape == (where[-1][0] + 3202,) and audio.dtype == np.float32 and np.isfinite(audio).all()
    sounds = np.zeros(len(audio), bool)
    for at, length in where: sounds[at:at + length] = True
    assert (audio[~sounds] == 0).all() and all(np.abs(audio[at:at + length]).max() > 1e-4 for at, length in where)


@pytest.mark.parametrize("settings", [dict(), dict(noise=False), dict(instruments=("a", "b")), dict(kind="model", reverb_s=0.01), dict(z=2)], ids=str)
def test_a_stage_with_all_on_is_the_model_in_an_envelope(settings):
    model = tiny(**settings)
    features = heard(model, tone(220.0, 1.0), model.instruments[-1])
    stage = Stage(tuple(range(1, 9)), True, seconds=0.4, attack_s=0.03, decay_s=0.1, sustain=0.5, release_s=0.2)
    frames, first = breath_of(model) + math.ceil(6400 / 128), breath_of(model) * 128
    now = {k: v[:, :frames] if v.ndim > 1 else v for k, v in features.items()}
    noise = white((1, frames * 128), torch.Generator().manual_seed(5))
    with torch.no_grad(): whole = model(now, noise)[0, first:first + 6400]
    shape = adsr(6400, RATE, 0.03, 0.1, 0.5, 0.2, 0.2)
    assert np.array_equal(grow(model, features, [stage], seed=5), (whole * shape).numpy())


def test_a_note_that_is_too_short_is_held():
    model = tiny()
    short, long = held(model, 300.0, -20.0, 0.2), held(model, 300.0, -20.0, 2.0)
    score = [Stage((1, 2), seconds=1.0)]
    assert np.array_equal(grow(model, short, score), grow(model, long, score))


def test_loudness_is_told_to_the_model():
    model = tiny()
    note, score = held(model, 300.0, -30.0, 0.5), plan([3], 8, "never")
    louder = grow(model, held(model, 300.0, -18.0, 0.5), score)
    assert np.array_equal(grow(model, note, [score[0]._replace(louder_db=12.0)])[1000:], louder[1000:]) or \
        np.abs(grow(model, note, [score[0]._replace(louder_db=12.0)]) - louder).max() < 1e-3
    assert np.abs(grow(model, note, score) - louder).max() > 1e-4


def test_seeds_change_the_noise_only():
    model = tiny()
    note = held(model, 300.0, -20.0, 0.5)
    quiet, noisy = plan([3], 8, "never"), plan([3], 8, "always")
    assert np.array_equal(grow(model, note, quiet, seed=1), grow(model, note, quiet, seed=2))
    assert np.array_equal(grow(model, note, noisy, seed=1), grow(model, note, noisy, seed=1))
    assert not np.array_equal(grow(model, note, noisy, seed=1), grow(model, note, noisy, seed=2))


def test_what_is_off_in_a_stage_is_80_db_down():
    model = tiny()
    score = [Stage((1, 2, 5), seconds=2.0, silence_s=0.1), Stage((2, 4), seconds=2.0)]
    audio = grow(model, held(model, 200.0, -15.0, 2.0), score).astype(float)
    for stage, (at, _) in zip(score, spans(score, RATE)):
        bins = np.abs(np.fft.rfft(audio[at + 8000:at + 24000] * np.blackman(RATE) ** 2))[200:8000:200]
        level, on = 20 * np.log10(bins + 1e-12), np.isin(np.arange(1, 40), stage.harmonics)
        assert level[~on].max() < level[on].max() - 80 and level[on].min() > level[on].max() - 60


@pytest.mark.parametrize("attack_s", [0.005, 0.02])
def test_no_clicks(attack_s):
    "A click is heard where the sound has nothing: far above the highest harmonic. Against the same stages cut with scissors."
    model = tiny()
    score = plan([1, 2, 3], 8, "never", seconds=0.3, silence_s=0.05, attack_s=attack_s, release_s=0.05)
    audio = grow(model, held(model, 200.0, -15.0, 1.0), score).astype(float)
    cut = np.concatenate([np.pad(audio[at + 2000:at + 2000 + 1037], 500) for at, _ in spans(score, RATE)])
    high = scipy.signal.butter(8, 4000, "high", fs=RATE, output="sos")
    def click(x): return np.abs(scipy.signal.sosfilt(high, np.pad(x, 500))).max() / np.abs(x).max()
    assert click(audio) < 10 ** (-55 / 20) < 0.05 * click(cut)


def test_renormalized_stages_are_as_loud_in_sum():
    model = tiny()
    note = held(model, 300.0, -20.0, 0.5)
    few, scaled = (grow(model, note, plan([1], 8, "never"), renormalize) for renormalize in (False, True))
    assert np.abs(scaled).max() > np.abs(few).max()


@pytest.mark.parametrize("change, name", [(dict(seconds=0.0), "seconds"), (dict(seconds=math.nan), "seconds"), (dict(seconds=1e9), "seconds"), (dict(silence_s=-0.1), "silence_s"),
                                          (dict(release_s=0.5), "release_s"), (dict(release_s=0.0), "release_s"), (dict(attack_s=0.0), "attack_s"), (dict(decay_s=math.nan), "decay_s"),
                                          (dict(sustain=2.0), "sustain"), (dict(harmonics=(9,)), "harmonics"), (dict(louder_db=math.inf), "loudness_db")])
def test_a_stage_that_cannot_be(change, name):
    model = tiny()
    with pytest.raises(ValueError, match=f"^{name}"): grow(model, held(model, 300.0, -20.0, 0.5), [Stage((1,))._replace(**change)])


def test_an_empty_score():
    with pytest.raises(ValueError, match="^score"): grow(tiny(), held(tiny(), 300.0, -20.0, 0.5), [])


# ---- the command

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny()
    model.about["played"] = {"": {"midi": [60.0, 69.2, 72.0], "loudness_db": [-30.0, -20.0, -10.0]}}
    save_model("model.pt", model)
    return tmp_path


def run(*arguments): return G.main([str(a) for a in arguments])


def names(folder): return sorted(p.name for p in folder.iterdir())


def test_the_command_writes_what_it_says(here, capsys):
    assert run("--model", "model.pt", "--strategy", "linear", "--stage", "0.5", "--silence", "0.2") == 0
    assert names(here) == ["model.pt", "model_grown.png", "model_grown.wav"]
    audio, rate = soundfile.read("model_grown.wav")
    assert rate == RATE and len(audio) == 9 * 8000 + 8 * 3200 and np.isfinite(audio).all() and 1e-3 < np.abs(audio).max() <= 1
    assert (here / "model_grown.png").read_bytes()[:4] == b"\x89PNG"
    assert "1, 2, 3, 4, 5, 6, 7, 8, 8 harmonics" in capsys.readouterr().err
    want = grow(tiny(), held(tiny(), 440.0, -20.0, 0.5), plan(linear, 8))
    assert np.abs(audio - want).max() < 1e-4


@pytest.mark.parametrize("options, n_stages", [(("--strategy", "exponential"), 5), (("--strategy", "fibonacci", "--noise", "always"), 5), (("--strategy", "1,3,5", "--noise", "never"), 3),
                                               (("--strategy", "linear", "--stages", "3"), 4), (("--strategy", "4", "--swell", "12", "--renormalize", "--velocity", "100"), 2)])
def test_strategies_of_the_command(here, options, n_stages):
    assert run("--model", "model.pt", "--stage", "0.1", "--silence", "0.05", "--release", "0.02", *options, "--out", "x.wav") == 0
    assert len(soundfile.read("x.wav")[0]) == n_stages * 1600 + (n_stages - 1) * 800


def test_pitch_loudness_and_envelope_are_obeyed(here):
    same = ("--model", "model.pt", "--strategy", "1", "--noise", "never", "--stage", "0.5")
    for note, hz in (("A3", 220), ("311.5", 311.5)):
        assert run(*same, "--note", note, "--out", "x.wav") == 0
        audio, _ = soundfile.read("x.wav")
        assert np.argmax(np.abs(np.fft.rfft(audio, RATE))) == pytest.approx(hz, abs=1)
    sounds = []
    for extra in (("--loudness", "-10"), ("--velocity", "127"), ("--loudness", "-30"), ("--attack", "0.2")):
        assert run(*same, *extra, "--out", "x.wav") == 0
        sounds.append(soundfile.read("x.wav")[0])
    assert np.array_equal(sounds[0], sounds[1]) and not np.array_equal(sounds[0], sounds[2])
    assert np.abs(sounds[3][:400]).max() < 0.3 * np.abs(sounds[2][:400]).max()


def test_a_recording_gives_pitch_and_loudness(here):
    soundfile.write("note.wav", np.stack([tone(330.0, 1.0).numpy()] * 2, 1), RATE)
    assert run("--model", "model.pt", "--audio", "note.wav", "--strategy", "1", "--noise", "never", "--out", "x.wav") == 0
    audio, _ = soundfile.read("x.wav")
    assert np.argmax(np.abs(np.fft.rfft(audio, RATE))) == pytest.approx(330, abs=2)
    assert run("--model", "model.pt", "--audio", "note.wav", "--fit", "--strategy", "1", "--out", "x.wav") == 0
    save_model("light.pt", tiny("model"))
    assert run("--model", "light.pt", "--audio", "note.wav", "--strategy", "exponential") == 0 and (here / "light_grown.wav").exists()


def test_shipped_instruments(here):
    assert run("--model", "violin", "--strategy", "1,2", "--stage", "0.2") == 0 and (here / "violin_grown.wav").exists()
    assert run("--model", "four", "--instrument", "saxophone", "--strategy", "1,2", "--stage", "0.2", "--out", "sax.flac") == 0
    assert {"sax.flac", "sax.png", "violin_grown.png"} <= set(names(here))


def test_the_command_says_what_is_wrong(here, capsys):
    soundfile.write("hiss.wav", 0.1 * np.random.default_rng(0).standard_normal(9000), RATE)
    save_model("light.pt", tiny("model")); save_model("several.pt", tiny(instruments=("a", "b")))
    (here / "damaged.pt").write_bytes((here / "model.pt").read_bytes()[:900])
    before = names(here)
    cases = [(("--model", "none.pt"), "there is no file"), (("--model", "no/none"), "there is no file"), (("--model", "oboe"), "violin"), (("--model", "damaged.pt"), "damaged"),
             (("--model", "light.pt"), "MFCC"), (("--model", "several.pt", "--instrument", "c"), "instrument"), (("--model", "model.pt", "--strategy", "cubic"), "exponential"),
             (("--model", "model.pt", "--strategy", "1,99"), "harmonics"), (("--model", "model.pt", "--strategy", ","), "--strategy"), (("--model", "model.pt", "--stage", "0"), "seconds"),
             (("--model", "model.pt", "--stage", "nan"), "seconds"), (("--model", "model.pt", "--silence", "-1"), "silence_s"), (("--model", "model.pt", "--release", "9"), "release_s"),
             (("--model", "model.pt", "--sustain", "7"), "sustain"), (("--model", "model.pt", "--stages", "0"), "stages"), (("--model", "model.pt", "--note", "H9"), "note"),
             (("--model", "model.pt", "--note", "9000"), "--note"), (("--model", "model.pt", "--note", "nan"), "--note"), (("--model", "model.pt", "--audio", "hiss.wav", "--out", "hiss.wav"), "is the recording"),
             (("--model", "model.pt", "--loudness", "nan"), "loudness_db"), (("--model", "model.pt", "--swell", "inf"), "louder_db"), (("--model", "model.pt", "--audio", "none.wav"), "no such file"),
             (("--model", "model.pt", "--audio", "hiss.wav"), "no pitch"), (("--model", "model.pt", "--audio", "model.pt"), "not readable"),
             (("--model", "model.pt", "--audio", "hiss.wav", "--note", "A4"), "--note"), (("--model", "model.pt", "--out", "no/x.wav"), "no such folder"), (("--model", "model.pt", "--out", "x.txt"), "--out")]
    for arguments, why in cases:
        assert run(*arguments) == 1, arguments
        said = capsys.readouterr().err
        assert why in said and said.startswith("ddsp-grow: ") and "Traceback" not in said, (arguments, said)
    assert names(here) == before
    for wrong in ((), ("--model", "model.pt", "--velocity", "200"), ("--model", "model.pt", "--velocity", "9", "--loudness", "-9")):
        with pytest.raises(SystemExit, match="2"): run(*wrong)


def test_an_interruption_leaves_the_old_file(here, monkeypatch, capsys):
    (here / "model_grown.wav").write_bytes(b"old")
    def stopped(*_): raise KeyboardInterrupt
    monkeypatch.setattr(G, "grow", stopped)
    assert run("--model", "model.pt") == 130 and (here / "model_grown.wav").read_bytes() == b"old" and "interrupted" in capsys.readouterr().err


def test_a_loud_model_is_turned_down(here, capsys):
    loud = tiny()
    with torch.no_grad(): loud.heads.bias[0] = 9.0
    save_model("loud.pt", loud)
    assert run("--model", "loud.pt", "--strategy", "1", "--renormalize", "--note", "300") == 0 and "turned down" in capsys.readouterr().err
    assert np.abs(soundfile.read("loud_grown.wav")[0]).max() <= 1


def test_it_is_a_command_of_the_package():
    scripts = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'ddsp-grow = "ddsp_book.grower:main"' in scripts
