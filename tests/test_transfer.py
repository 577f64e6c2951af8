"Playing: live is the model itself but later, and melodies move to where an instrument is at home."
import pytest
import torch
from ddsp_book.decoder import white
from ddsp_book.features import FeatureExtractor
from ddsp_book.transfer import Live, aligned, transfer
from test_decoder import RATE, random_features, tiny, tone

torch.set_num_threads(1)


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
        noise = torch.cat([white((1, (b - a) * 128), g) for a, b in ((0, 1), (1, 9), (9, 12), (12, 24))], 1)
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
    f0_hz, loudness_db = aligned(features, model.about["played"][""])
    assert float(f0_hz.median()) == pytest.approx(440, rel=0.01)
    assert abs(float(loudness_db.median()) + 20) < 1
    assert float(aligned(features, model.about["played"][""], octaves=-1)[0].median()) == pytest.approx(55, rel=0.01)
    audio = transfer(model, voice, RATE)
    assert audio.shape == voice.shape and audio.isfinite().all() and torch.equal(audio, transfer(model, voice, RATE))
    assert abs(len(transfer(model, voice[:12000], 12000)) - RATE) <= 1
    with pytest.raises(ValueError, match="silence"): transfer(model, torch.zeros(9000), RATE)
    with pytest.raises(ValueError, match="instrument"): transfer(model, voice, RATE, "oboe")
    with pytest.raises(ValueError, match="audio"): transfer(model, torch.zeros(2, 9000), RATE)
