"Notes taken apart: an untouched sheet is the model, what is off is gone, what is on is as it was."
import math
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from ddsp_book import partials as P
from ddsp_book.audio import example
from ddsp_book.decoder import instrument_model, white
from ddsp_book.hybrid import check_patch, load_patch, render_patch, save_patch
from ddsp_book.partials import Sheet, frozen, heard, held, numbers_of, play_sheet, sheet_of, switched, there_are
from test_decoder import RATE, random_features, tiny, tone

torch.set_num_threads(1)
MODELS = [dict(), dict(kind="model"), dict(kind="model", reverb_s=0.01), dict(noise=False), dict(reverb_s=0.0), dict(z=3), dict(instruments=("a", "b"))]


def a_note(model, batch=2, frames=24): return random_features(batch, frames, len(model.instruments))


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad(): yield


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_with_all_on_it_is_the_model_bit_by_bit(settings):
    model = tiny(**settings)
    features = a_note(model)
    noise = torch.rand(2, 24 * model.hop) - 0.5
    sheet, whole = sheet_of(model, features), model(features, noise)
    assert torch.equal(play_sheet(model, sheet, noise), whole)
    n = model.settings["n_harmonics"]
    for everything in (n, range(1, n + 1), [*range(n, 0, -1), 1]):
        assert torch.equal(play_sheet(model, switched(sheet, everything), noise), whole)


def by_hand(model, features, numbers):
    "Σ a c_k sin(k φ), sample by sample in NumPy, of a steady pitch and levels that are read off the sheet."
    sheet = sheet_of(model, features)
    f0 = float(features["f0_hz"][0, 0])
    t = np.arange(features["f0_hz"].shape[1] * model.hop)
    frames = np.arange(features["f0_hz"].shape[1]) * model.hop
    y = np.zeros(len(t))
    for k in numbers:
        level = (sheet.gains[0] * sheet.amplitude * sheet.shares[..., k - 1])[0].double().numpy()
        y += np.interp(t, frames, level) * np.sin(2 * np.pi * ((k * f0 / RATE * t) % 1))
    return y


@pytest.mark.parametrize("kind", ["decoder", "model"])
@pytest.mark.parametrize("numbers", [[1], [3], [2, 5, 8], [1, 2, 3, 4]])
def test_what_sounds_is_the_sum_of_those_that_are_on(kind, numbers):
    model = tiny(kind, reverb_s=0.0)
    features = {**a_note(model, 1, 125), "f0_hz": torch.full((1, 125), 250.0)}
    sheet = switched(sheet_of(model, features), numbers)
    assert sheet.shares.shape[-1] == max(numbers)
    y = play_sheet(model, sheet._replace(bands=sheet.bands[..., :0]))[0].double().numpy()
    want = by_hand(model, features, numbers)
    assert 10 * np.log10((want**2).sum() / ((y - want) ** 2).sum()) > 90


@pytest.mark.parametrize("kind", ["decoder", "model"])
def test_masked_harmonics_are_80_db_down(kind):
    model = tiny(kind)
    steady = {k: v[:, :1].expand(1, 250, *v.shape[2:]) if v.ndim > 1 else v[:1] for k, v in random_features(1, 12).items()}
    steady["f0_hz"] = torch.full((1, 250), 200.0)
    sheet = switched(sheet_of(model, steady), [2, 3, 7])
    y = play_sheet(model, sheet._replace(bands=sheet.bands[..., :0]))[0, -RATE:].double().numpy()
    level = 20 * np.log10(np.abs(np.fft.rfft(y * np.blackman(RATE) ** 2)) + 1e-12)[200:8000:200]
    on = np.isin(np.arange(1, 40), [2, 3, 7])
    assert level[~on].max() < level[on].max() - 80 and level[on].min() > level[on].max() - 60


def test_harmonics_add_up_to_the_whole():
    model, features = tiny(), random_features(1, 24)
    sheet = sheet_of(model, features)
    sheet = sheet._replace(bands=sheet.bands[..., :0])
    single = sum(play_sheet(model, switched(sheet, [k])) for k in range(1, 9))
    assert torch.allclose(single, play_sheet(model, sheet), atol=1e-6)


def test_those_above_nyquist_stay_silent():
    model = tiny()
    features = {**random_features(1, 24), "f0_hz": torch.full((1, 24), 3000.0)}
    assert there_are(model, features) == 2
    sheet = sheet_of(model, features)
    assert sheet.shares[..., 2:].abs().max() == 0 and torch.allclose(sheet.shares.sum(-1), torch.ones(1, 24), atol=1e-4)
    assert play_sheet(model, switched(sheet, [3])._replace(bands=sheet.bands[..., :0])).abs().max() == 0


def test_renormalized_they_share_what_all_had():
    for model in (tiny(), tiny("model")):
        sheet = sheet_of(model, random_features(2, 10))
        few = switched(sheet, [1, 4], renormalize=True)
        assert torch.allclose(few.shares.sum(-1), sheet.shares.sum(-1), rtol=1e-4)
        assert torch.allclose(few.shares[..., 3] / few.shares[..., 0], sheet.shares[..., 3] / sheet.shares[..., 0], rtol=1e-4)
        assert (switched(sheet, 1).shares <= few.shares[..., :1]).all()


def test_with_none_on_the_noise_is_left():
    model, features = tiny(), random_features(1, 24)
    noise, sheet = white((1, 24 * 128), torch.Generator().manual_seed(0)), sheet_of(model, features)
    silent = switched(sheet, 0)
    assert torch.allclose(play_sheet(model, silent, noise), model.room(model.parts(features, noise)["noise"]))
    assert play_sheet(model, silent._replace(bands=sheet.bands[..., :0])).abs().max() == 0
    assert play_sheet(model, silent._replace(bands=sheet.bands[..., :0])).shape == (1, 24 * 128)


@pytest.mark.parametrize("given, found", [(3, (1, 2, 3)), (0, ()), ([], ()), ([5, 2, 2], (2, 5)), (range(2, 9, 3), (2, 5, 8)),
                                          (np.int64(2), (1, 2)), (np.array([4, 1]), (1, 4)), ({8}, (8,)), ((k for k in (1, 2)), (1, 2))])
def test_numbers(given, found): assert numbers_of(given, 8) == found


@pytest.mark.parametrize("given", [9, -1, 1.5, [0, 1], [9], [1.5], [None], None, "violin", [math.nan], math.nan, [[1, 2]], ["1"]])
def test_numbers_that_there_are_not(given):
    with pytest.raises(ValueError, match="^harmonics: expected a count up to 8"): numbers_of(given, 8)


# ---- notes

def test_held():
    model = tiny()
    f = held(model, 440.0, -20.0, 1.0)
    breath = P.breath_of(model)
    assert f["f0_hz"].shape == f["loudness_db"].shape == (1, breath + 125) and breath * model.hop == pytest.approx(1600, abs=64)
    assert (f["f0_hz"] == 440).all() and (f["loudness_db"][0, :breath] == -100).all() and (f["loudness_db"][0, breath:] == -20).all()
    curve = torch.linspace(400, 500, 30)
    f = held(model, curve, torch.linspace(-30, -10, 30))
    assert torch.equal(f["f0_hz"][0, breath:], curve) and f["f0_hz"][0, 0] == 400 and f["loudness_db"][0, -1] == -10
    assert held(model, 440.0, [-10.0] * 7)["f0_hz"].shape == (1, breath + 7)
    assert held(tiny(instruments=("a", "b")), 440, -20, instrument="b")["instrument"].tolist() == [1]
    assert model(f).isfinite().all()


@pytest.mark.parametrize("model, arguments, name", [
    (tiny(), (0.0, -20.0), "f0_hz"), (tiny(), (440.0, math.nan), "loudness_db"), (tiny(), ([440.0] * 3, [-20.0] * 4), "loudness_db"),
    (tiny(), ([[440.0]], -20.0), "f0_hz"), (tiny("model"), (440.0, -20.0), "audio"), (tiny(z=2), (440.0, -20.0), "audio"),
    (tiny(), (440.0, -20.0, 1.0, "oboe"), "instrument")], ids=range(7))
def test_held_says_what_is_wrong(model, arguments, name):
    with pytest.raises(ValueError, match=f"^{name}"): held(model, *arguments)


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_heard(settings):
    model = tiny(**settings)
    f = heard(model, tone(220.0, 1.0))
    breath = P.breath_of(model)
    assert f["f0_hz"].shape == (1, breath + 125) and f["mfcc"].shape == (1, breath + 125, 30)
    assert (f["f0_hz"] - 220).abs().median() < 0.5 and f["loudness_db"][0, :breath - 5].max() < -90
    assert model(f).isfinite().all()


def test_heard_and_moved():
    model = tiny()
    model.about["played"] = {"": {"midi": [70, 72, 74], "loudness_db": [-30, -20, -10]}}
    f = heard(model, tone(110.0, 1.0, decay=0.5), fit=True)
    assert float(f["f0_hz"].median()) == pytest.approx(440, rel=0.01)
    with pytest.raises(ValueError, match="^fit"): heard(tiny(), tone(), fit=True)


@pytest.mark.parametrize("audio", [torch.zeros(9000), 0.1 * torch.randn(9000, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 9000), torch.full((9000,), math.nan)], ids=range(4))
def test_heard_says_what_is_wrong(audio):
    with pytest.raises(ValueError, match="^audio"): heard(tiny(), audio)


# ---- the ear

def test_erb():
    assert P.erb_hz(1000) == pytest.approx(132.6, abs=0.1) and P.erb_hz(0) == pytest.approx(24.7)  # Glasberg and Moore's own numbers
    assert P.erb_number(1000) == pytest.approx(15.6, abs=0.1)
    for f_hz in (0.0, 50.0, 440.0, 8000.0): assert P.erb_number(f_hz) == pytest.approx(quad(lambda f: 1 / P.erb_hz(f), 0, f_hz)[0], abs=1e-8)
    assert P.erb_hz(np.ones((2, 3))).shape == P.erb_number(np.ones((2, 3))).shape == (2, 3)


# ---- in the page

@pytest.mark.parametrize("settings", [dict(), dict(reverb_s=0.0), dict(noise=False), dict(kind="model")], ids=str)
def test_a_frozen_note_plays_as_the_model_does(settings, tmp_path):
    model = tiny(**settings)
    f = {k: v[:, :1].expand(1, 250, *v.shape[2:]) if v.ndim > 1 else v for k, v in random_features(1, 12).items()}
    f["f0_hz"] = torch.full((1, 250), 200.0)
    sheet = sheet_of(model, f)
    patch = frozen(model, sheet, "Test", "a test, CC0")
    save_patch(tmp_path / "a.json", patch)
    assert load_patch(tmp_path / "a.json")["values"] == patch["values"]
    ours = render_patch({**patch, "values": {**patch["values"], "noise_fir": [], "M_noise": 0}}, n_samples=2 * RATE)
    theirs = play_sheet(model, sheet._replace(bands=sheet.bands[..., :0]))[0].double().numpy()
    def levels(x): return 20 * np.log10(np.abs(np.fft.rfft(x[-RATE:] * np.blackman(RATE)))[200:1601:200])
    assert np.abs(levels(ours) - levels(theirs)).max() < 0.2
    if model.hiss is None: return
    hiss = render_patch({**patch, "values": {**patch["values"], "harmonic_amps": [], "K_harm": 0}}, n_samples=2 * RATE)
    theirs = play_sheet(model, switched(sheet, 0), white((1, 2 * RATE), torch.Generator().manual_seed(0)))[0].numpy()
    assert 20 * np.log10(hiss.std() / theirs.std()) == pytest.approx(0, abs=0.5)


def test_frozen_silence_is_a_patch():
    model = tiny()
    silent = switched(sheet_of(model, random_features(1, 10)), 0)
    values = frozen(model, silent._replace(bands=silent.bands[..., :0]), "Silence", "test")["values"]
    assert values["harmonic_amps"] == values["noise_fir"] == [] and values["K_harm"] == values["M_noise"] == 0


def test_a_shipped_instrument_in_the_page():
    model = instrument_model("violin")
    patch = frozen(model, sheet_of(model, held(model, 196.0, -15.0)), "Violin", "test", 500)
    assert check_patch(patch)["values"]["L_reverb"] == 500 and patch["values"]["K_harm"] == 40 and patch["values"]["f0_hz"] == 196


def test_one_harmonic_of_a_recording_is_a_sine():
    model = instrument_model("flute")
    features = heard(model, torch.tensor(example("flute_A4")[0][:RATE]).float())
    sheet = switched(sheet_of(model, features), 1)
    assert isinstance(sheet, Sheet) and sheet.shares.shape[-1] == 1
    y = play_sheet(model, sheet._replace(bands=sheet.bands[..., :0]))[0, 4000:12000].double().numpy()
    power = np.abs(np.fft.rfft(y * np.blackman(8000))) ** 2
    assert power[:300].sum() > 1e7 * power[400:].sum()  # 2 Hz per bin: all of it is near 440 Hz
