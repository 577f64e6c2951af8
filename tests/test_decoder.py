"Decoders: what they make of pitch and loudness, and files that are not what they should be."
import math, os

import numpy as np
import pytest
import scipy.signal
import torch
from ddsp_book import decoder as D
from ddsp_book.audio import DATA
from ddsp_book.decoder import MODELS, DDSPDecoder, DDSPModel, load_model, save_model

torch.set_num_threads(1)
RATE = 16000
TINY = dict(hidden=12, layers=1, n_harmonics=8, bands=17, hop=128, reverb_s=0.02)


def tone(f_hz=220.0, seconds=0.6, level=0.3, decay=2.0):
    t = torch.arange(round(RATE * seconds)) / RATE
    return level * sum((2 * math.pi * k * f_hz * t).sin() / k for k in (1, 2, 3)) * (-decay * t).exp()


def tiny(kind="decoder", seed=0, **settings):
    torch.manual_seed(seed)
    if kind == "model": return DDSPModel(hidden=12, n_harmonics=8, bands=16, hop=128, **settings)
    return DDSPDecoder(**{**TINY, **settings})


def random_features(batch=2, frames=12, instruments=1):
    g = torch.Generator().manual_seed(1)
    return {"f0_hz": 200 + 200 * torch.rand(batch, frames, generator=g), "loudness_db": -30 + 10 * torch.randn(batch, frames, generator=g),
            "mfcc": torch.randn(batch, frames, 30, generator=g), "instrument": torch.arange(batch) % instruments}


def same(a, b): return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


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


def test_loudness_goes_past_the_network():
    model, features = tiny(follows=True, noise=True), random_features(1, 30)
    with torch.no_grad():
        for p in (model.heads.weight, model.heads.bias): p.zero_()
        (soft, _), (loud, _) = (model.controls({**features, "loudness_db": torch.full((1, 30), db)}) for db in (-140.0, -120.0))
    for name in ("amplitude", "magnitudes"): assert torch.allclose((loud[name] - 1e-7) / (soft[name] - 1e-7), torch.tensor(10.0), rtol=0.1)
    assert torch.equal(loud["distribution"], soft["distribution"])


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


# ---- what ships

SHIPPED = sorted((DATA / "weights").glob("*.pt"))
@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_weights(path):
    model = load_model(path)
    assert path.stat().st_size < 1_000_000 and sum(p.numel() for p in model.parameters()) <= 500_000
    assert model.about["licence"] == "CC-BY-3.0" and "Brosowsky" in model.about["origin"] and set(model.about["played"]) == set(model.instruments)
