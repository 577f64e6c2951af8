"Features against librosa, known pitches and closed forms; and what they make of sounds that have none."
import sys
import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.audio import cents, example, examples
from ddsp_book.features import (FeatureExtractor, a_weighting_db, bridge, dct_matrix, frames_of, periodicity, power_frames,
                                track_pitch)

torch.set_num_threads(1)
RATE, HOP = 16000, 64
NOTES = [row for row in examples() if row["kind"] == "note"]
hiss = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))


def note(name, seconds=1.0):
    audio, rate = example(name)
    assert rate == RATE
    return torch.tensor(audio[None, :int(seconds * rate)], dtype=torch.float32)


def harmonic_tone(f0_hz, n=8000, brightness=1.0):
    "Ten harmonics, the third the strongest."
    t = torch.arange(n, dtype=torch.float64) / RATE
    levels = [0.3, 0.5, 1.0] + [brightness / k for k in range(4, 11)]
    return sum(a * torch.sin(2 * torch.pi * k * f0_hz * t + k) for k, a in enumerate(levels, 1) if k * f0_hz < 8000)[None].float() / 4


# Frames -----------------------------------------------------------------------------------------------------------------

@settings(max_examples=40, deadline=None)
@given(n=st.integers(600, 5000), hop=st.integers(1, 700))
def test_frames_are_centred_and_as_many_as_hops(n, hop):
    frames = frames_of(torch.arange(float(n))[None], 1024, hop)
    assert frames.shape == (1, -(-n // hop), 1024)
    np.testing.assert_array_equal(frames[0, :, 512], np.arange(0, n, hop))


def test_frames_are_mirrored_at_the_ends():
    x = torch.randn(2, 3000)
    padded = np.pad(x.numpy(), ((0, 0), (512, 512)), "reflect")
    np.testing.assert_array_equal(frames_of(x, 1024, 100)[1, 0], padded[1, :1024])
    np.testing.assert_array_equal(frames_of(x, 1024, 100)[0, -1], padded[0, 2900:2900 + 1024])


# Pitch ------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tracked(): return {row["name"]: [x[0].double().numpy() for x in track_pitch(note(row["name"]), RATE, 256)] for row in NOTES}


def test_known_pitches_of_the_recordings(tracked):
    off = {row["name"]: np.median(abs(cents(f0[sure > 0.8], float(row["nominal_hz"]))))
           for row in NOTES for f0, sure in [tracked[row["name"]]]}
    assert np.median(list(off.values())) <= 10, off
    assert max(off.values()) < 25, "some were not tuned to A = 440 Hz, none by more than that"


def test_recordings_are_periodic(tracked):
    assert np.median([np.median(sure) for _, sure in tracked.values()]) > 0.95


@pytest.mark.parametrize("f0_hz", [65.4, 110.0, 196.0, 441.3, 880.0, 1301.7])
@pytest.mark.parametrize("method", ["yin", "pyin", "crepe"])
def test_synthetic_tones(f0_hz, method):
    if method == "crepe": pytest.importorskip("torchcrepe")
    if method == "pyin" and f0_hz > 1000: pytest.skip("its grid is coarse up there")
    f0, sure = track_pitch(harmonic_tone(f0_hz, 4096), RATE, 512, method)
    middle = slice(2, -2)
    assert np.median(abs(cents(f0[0, middle].double().numpy(), f0_hz))) < (30 if method == "crepe" else 8)
    assert sure[0, middle].median() > dict(yin=0.95, pyin=0, crepe=0.3)[method]


def test_a_glide_is_followed():
    f0 = 200 * 2 ** torch.linspace(0, 1, 16000).double()
    audio = torch.sin(2 * torch.pi * (f0.cumsum(0) - f0) / RATE)[None].float()
    got = track_pitch(audio, RATE, HOP)[0][0, 16:-16].double().numpy()
    assert np.median(abs(cents(got, f0[::HOP][16:-16].numpy()))) < 3


def test_yin_is_librosas():
    audio = note("violin_G3", 0.5)
    own = track_pitch(audio, RATE, HOP)[0][0]
    padded = np.pad(audio[0].double().numpy(), 512, "reflect")
    theirs = librosa.yin(padded, fmin=60, fmax=1500, sr=RATE, frame_length=1024, hop_length=HOP, center=False)
    theirs = theirs[:len(own)].clip(60, 1500)
    off = abs(cents(own.double().numpy(), theirs))
    assert np.median(off) < 5 and off.max() < 20, "the same, refined by a few cents"


def test_pieces_do_not_show():
    "Longer than 1000 frames: the same as the same stretch alone."
    audio = note("violin_A4", 1.5)
    whole, part = FeatureExtractor(frame_rate=1000)(audio), FeatureExtractor(frame_rate=1000)(audio[:, 12800:])
    for name in ("f0_hz", "loudness_db", "rms", "mfcc"):
        torch.testing.assert_close(whole[name][:, 900:1400], part[name][:, 100:600], rtol=1e-3, atol=1e-3)


# Confidence -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_periodicity_is_the_share_that_repeats(share):
    tone = torch.sin(2 * torch.pi * 400 * torch.arange(8000) / RATE)[None] * 2**0.5
    frames = frames_of(share**0.5 * tone + (1 - share) ** 0.5 * hiss, 1024, 64)
    assert abs(periodicity(frames, torch.full(frames.shape[:2], 40.0)).mean() - share) < 0.06


@pytest.mark.parametrize("lag", [36.28, 45.5, 80.03])
def test_periodicity_between_samples(lag):
    tone = harmonic_tone(RATE / lag)
    frames = frames_of(tone, 1024, 64)[:, 8:-8]
    assert periodicity(frames, torch.full(frames.shape[:2], lag)).min() > 0.99
    assert periodicity(frames, torch.full(frames.shape[:2], lag * 0.7)).max() < 0.8


def test_what_has_no_pitch_has_no_confidence():
    for sound in (hiss, torch.zeros(1, 4000), torch.eye(1, 4000), torch.eye(1, 4000).roll(2000, 1)):
        assert track_pitch(sound, RATE, HOP)[1].max() < 0.5


# Bridge -----------------------------------------------------------------------------------------------------------------

def test_bridge_is_straight_in_semitones():
    f0, sure = torch.tensor([[100.0, 7, 9, 800]]), torch.tensor([[1.0, 0, 0.2, 1]])
    torch.testing.assert_close(bridge(f0, sure), torch.tensor([[100.0, 200, 400, 800]]))
    torch.testing.assert_close(bridge(f0.flip(1)[:, 1:], sure.flip(1)[:, 1:]), torch.tensor([[100.0, 100, 100]]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(60, 1500), st.floats(0, 1)), min_size=1, max_size=30))
def test_bridge_keeps_what_is_trusted_and_stays_between(pairs):
    f0, sure = torch.tensor(pairs, dtype=torch.float64).T[:, None]
    got, trusted = bridge(f0, sure), sure >= 0.6
    torch.testing.assert_close(got[trusted], f0[trusted])
    within = f0[trusted] if trusted.any() else f0
    assert got.min() >= within.min() * (1 - 1e-9) and got.max() <= within.max() * (1 + 1e-9)


# Levels -----------------------------------------------------------------------------------------------------------------

def test_a_weighting_is_librosas_and_the_standards():
    f_hz = np.geomspace(10, 20000, 200)
    np.testing.assert_allclose(a_weighting_db(f_hz), librosa.A_weighting(f_hz, min_db=None), atol=0.01)
    for tenths, db in ((15, -39.4), (20, -19.1), (30, 0.0), (36, 1.0), (39, -1.1), (42, -6.6)):  # IEC 61672-1, table 3
        assert abs(a_weighting_db(10 ** (tenths / 10)) - db) < 0.06
    assert a_weighting_db(0.0).isfinite()


@pytest.mark.parametrize("f_hz", [100.0, 1000.0, 3000.0])
def test_loudness_of_a_sine(f_hz):
    audio = 0.1 * torch.sin(2 * torch.pi * f_hz * torch.arange(8000) / RATE)[None]
    f = FeatureExtractor()(audio)
    middle = slice(8, -8)
    assert (f["loudness_db"][0, middle] - (-23.01 + a_weighting_db(f_hz))).abs().max() < 0.3
    assert (f["rms"][0, middle] - 0.0707).abs().max() < 1e-3


def stft_power(audio):
    padded = np.pad(audio[0].double().numpy(), 512, "reflect")
    return np.abs(librosa.stft(padded, n_fft=1024, hop_length=HOP, center=False)) ** 2


def test_rms_and_mfcc_are_librosas():
    audio = note("trumpet_C4")
    f, S = FeatureExtractor()(audio), stft_power(audio)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    rms = librosa.feature.rms(S=np.sqrt(S / np.mean(window**2)), frame_length=1024)[0]
    np.testing.assert_allclose(f["rms"][0], rms[:250], rtol=1e-4, atol=1e-5)
    bands = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80, htk=True, norm=None) @ S * 2 / 1024 / np.sum(window**2)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(bands, top_db=None), n_mfcc=30)
    np.testing.assert_allclose(f["mfcc"][0], mfcc.T[:250], atol=0.02)


def test_power_is_parsevals():
    frames = torch.randn(3, 5, 64, dtype=torch.float64)
    w = torch.hann_window(64, dtype=torch.float64)
    torch.testing.assert_close(power_frames(frames).sum(-1), (frames * w).square().sum(-1) / w.square().sum())


def test_dct_is_scipys():
    import scipy.fft
    x = np.random.default_rng(0).standard_normal((3, 20))
    np.testing.assert_allclose(x @ dct_matrix(20, 7).numpy(), scipy.fft.dct(x, norm="ortho")[:, :7], atol=1e-12)


def test_gradients():
    extractor = FeatureExtractor(n_fft=64, n_mels=8, n_mfcc=4, frame_rate=500, f0_min_hz=600.0)
    frames = torch.randn(1, 1, 64, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: extractor.double().levels(f), frames)
    audio = note("flute_A4", 0.2).requires_grad_()
    f = FeatureExtractor()(audio)
    (f["loudness_db"].mean() + f["mfcc"].mean() + f["rms"].mean()).backward()
    assert audio.grad.isfinite().all() and audio.grad.abs().max() > 0 and not f["f0_hz"].requires_grad
    silent = torch.zeros(1, 2000, requires_grad=True)
    FeatureExtractor()(silent)["loudness_db"].sum().backward()
    assert silent.grad.isfinite().all()


# The extractor ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [513, 6400, 6401, 6463])
def test_all_on_one_clock(n):
    f = FeatureExtractor()(harmonic_tone(220.0, n).repeat(2, 1))
    frames = -(-n // HOP)
    assert {name: tuple(x.shape) for name, x in f.items()} == dict(
        f0_hz=(2, frames), confidence=(2, frames), loudness_db=(2, frames), rms=(2, frames), mfcc=(2, frames, 30))


def test_rows_do_not_mix():
    a, b = harmonic_tone(220.0, 4000), harmonic_tone(330.0, 4000)
    both, alone = FeatureExtractor()(torch.cat([a, b])), FeatureExtractor()(b)
    for name in both: torch.testing.assert_close(both[name][1:], alone[name])


def test_without_a_pitch_it_answers_and_does_not_trust_itself():
    for sound in (torch.zeros(1, 4000), hiss[:, :4000], 1e-6 * hiss, torch.ones(1, 4000)):
        f = FeatureExtractor()(sound)
        assert all(x.isfinite().all() for x in f.values())
        assert f["f0_hz"].min() >= 60 and f["f0_hz"].max() <= 1500
    assert FeatureExtractor()(torch.zeros(1, 4000))["loudness_db"].max() == -100


def test_float64_and_float32_agree():
    audio = note("clarinet_D4", 0.3)
    for a, b in zip(FeatureExtractor()(audio).values(), FeatureExtractor()(audio.double()).values()):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-2)


def test_bad_input_is_refused_at_the_door(monkeypatch):
    ok, make = torch.randn(1, 4000), FeatureExtractor
    with pytest.raises(ValueError, match="audio.*batch, samples"): make()(ok[0])
    with pytest.raises(ValueError, match="audio.*batch, samples"): make()(torch.randn(1, 2, 4000))  # stereo
    with pytest.raises(ValueError, match="audio.*512"): make()(ok[:, :512])
    with pytest.raises(ValueError, match="audio.*NaN"): make()(ok * float("nan"))
    with pytest.raises(ValueError, match="frame_rate"): make(frame_rate=300)
    with pytest.raises(ValueError, match="frame_rate"): make(frame_rate=0)
    with pytest.raises(ValueError, match="method"): make(pitch="guess")(ok)
    with pytest.raises(ValueError, match="f0_min_hz"): make(f0_min_hz=20.0)(ok)
    with pytest.raises(ValueError, match="f0_max_hz"): make(f0_max_hz=9000.0)(ok)
    with pytest.raises(ValueError, match="16000"): make(8000, pitch="crepe", n_fft=1024)(ok) if "torchcrepe" in sys.modules or _has_crepe() else _refuse()
    with pytest.raises(ValueError, match="confidence"): bridge(torch.ones(1, 4), torch.ones(1, 5))
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(ValueError, match="crepe"): make(pitch="crepe")(ok)


def _has_crepe():
    try: import torchcrepe
    except ImportError: return False
    return True


def _refuse(): raise ValueError("16000")
