"DDSPHybrid: gradients, forward path and patch files, against references that we did not write."
import copy, json, os
import autograd.numpy as np
import numpy as onp
import pytest
import scipy.signal
from autograd import grad
from autograd.test_util import check_grads
from ddsp_book import hybrid as H
from ddsp_book.audio import example

rng = onp.random.default_rng(0)

@pytest.mark.parametrize("n, taps", [(1, 1), (50, 7), (7, 50), (64, 64)])
def test_convolution_and_its_gradients(n, taps):
    x, h = rng.standard_normal(n), rng.standard_normal(taps)
    assert onp.allclose(H.convolve(x, h), scipy.signal.lfilter(h, 1, x))
    check_grads(H.convolve, modes=["fwd"])(x, h)
    check_grads(H.convolve, modes=["rev"], order=2)(x, h)
    long = rng.standard_normal(200)
    check_grads(H.convolve, modes=["rev"], order=2)(x, long)  # the FFT branch, and taps that come too late
    assert grad(lambda h: np.sum(H.convolve(x, h)))(h).shape == h.shape, "taps beyond the sound get a gradient of 0"

def test_phase_stays_in_tune_for_a_minute():
    n = 60 * 48000
    ours = H.harmonic_table(onp.full(n, 440.0), 48000, 1)[0, -1000:]
    assert onp.abs(ours - onp.sin(2 * onp.pi * (440 * onp.arange(n - 1000, n) % 48000) / 48000)).max() < 1e-6

def test_a_glide_ends_where_it_should():
    t = onp.arange(32000) / 16000
    table = H.harmonic_table(220 + 110 * t, 16000, 3)
    theirs = scipy.signal.chirp(t - 0.5 / 16000, 220, 2, 440, phi=-90)  # frequency is held from sample to sample
    assert onp.abs(table[0] - theirs).max() < 0.05
    frequency = onp.diff(onp.unwrap(onp.angle(scipy.signal.hilbert(table[0])))) * 16000 / 2 / onp.pi
    assert frequency[-800:-400].mean() == pytest.approx((220 + 110 * t)[-800:-400].mean(), rel=0.005)

def test_harmonics_above_nyquist_are_silent():
    table = H.harmonic_table(onp.full(1000, 3000.0), 16000, 5)
    assert table[:2].any(1).all() and not table[2:].any()
    assert not H.harmonic_table(onp.full(10, 8000.0), 16000, 1).any(), "Nyquist itself is silent"

@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_noise_is_white_and_seekable(seed):
    noise = H.white_noise(200_000, seed)
    assert abs(noise.mean()) < 0.01 and noise.var() == pytest.approx(1, abs=0.01)
    assert onp.abs(noise).max() <= onp.sqrt(3)
    correlation = onp.array([onp.mean(noise[lag:] * noise[:-lag]) for lag in range(1, 50)])
    assert onp.abs(correlation).max() < 4.5 / onp.sqrt(200_000)  # 4.5 standard errors
    _, power = scipy.signal.welch(noise, nperseg=512)
    assert (power[1:-1] / 2).std() / (power[1:-1] / 2).mean() < 0.08  # flat
    assert onp.array_equal(H.white_noise(100, seed, start=150_000), noise[150_000:150_100])
    assert not onp.allclose(H.white_noise(100, seed), H.white_noise(100, seed + 1))

def test_the_forward_path_agrees_with_scipy():
    n, f0 = 2000, onp.linspace(300, 310, 2000)
    gain = onp.linspace(0, 1, n)
    target = rng.standard_normal(n)
    model = H.DDSPHybrid(target, f0, 16000, gain, K_harm=5, M_noise=8, L_reverb=32)
    amps, fir, room = model.unpack(model.theta)
    phase = onp.concatenate([[0], onp.cumsum(f0)[:-1]]) / 16000
    dry = sum(a * onp.sin(2 * onp.pi * k * phase) for k, a in enumerate(amps, 1))
    dry = dry + scipy.signal.lfilter(fir, 1, H.white_noise(n))
    assert onp.allclose(model.synth(), scipy.signal.lfilter(room, 1, dry * gain))
    assert onp.sum(room**2) == pytest.approx(1)

@pytest.mark.parametrize("M_noise, L_reverb", [(8, 16), (0, 16), (8, 0), (0, 0)])
def test_every_gradient(M_noise, L_reverb):
    model = H.DDSPHybrid(rng.standard_normal(300), 500.0, 16000, K_harm=4, M_noise=M_noise, L_reverb=L_reverb)
    check_grads(lambda theta: np.mean((model.synth(theta) - model.target) ** 2), modes=["rev"])(model.theta)
    loss = H.SpectralLoss(model.target, n_ffts=(64, 32))
    check_grads(lambda theta: loss(model.synth(theta)), modes=["rev"], order=1)(model.theta)
    assert onp.all(grad(lambda theta: loss(model.synth(theta)))(model.theta) != 0), "every parameter is heard"

def test_magnitudes_and_their_adjoint():
    x = rng.standard_normal(500)
    check_grads(lambda x: H.magnitudes(x, 64), modes=["rev"], order=1)(x)
    check_grads(lambda x: H.magnitudes(x, 64), modes=["rev"], order=1)(x[:70])
    silent = grad(lambda x: np.sum(H.magnitudes(x, 64)))(onp.zeros(200))
    assert onp.isfinite(silent).all(), "no NaN from silence"

def test_pack_inverts_unpack():
    model = H.DDSPHybrid(onp.ones(500), 440.0, 16000, K_harm=3, M_noise=4, L_reverb=16, seed=3)
    amps, fir, room = onp.array([0.5, 0.1, 1e-4]), rng.standard_normal(4), 3.0 * rng.standard_normal(16)
    model.theta = model.pack(amps, fir, room)
    energy = onp.linalg.norm(room)
    expected = amps * energy, fir * energy, room / energy
    for got, right in zip(model.unpack(model.theta), expected):
        assert onp.allclose(got, right)

def test_spectral_loss_is_zero_only_at_the_target_and_symmetric_in_silence():
    x = rng.standard_normal(4000)
    loss = H.SpectralLoss(x)
    assert loss(x) == 0 and loss.distance_db(x) == 0 and loss(0.5 * x) > 0.5
    assert loss.distance_db(0.5 * x) == pytest.approx(20 * onp.log10(2), rel=0.01)
    with pytest.raises(ValueError, match="silent"): H.SpectralLoss(onp.zeros(100))

def test_training_learns_the_demo_tone():
    t = onp.arange(4800) / 48000
    tone = onp.sin(2 * onp.pi * 440 * t) + 0.3 * onp.sin(2 * onp.pi * 880 * t)
    room = onp.exp(-onp.linspace(0, 1.5, 128)) * (0.2 + 0.8 * onp.random.RandomState(123).rand(128))
    target = onp.convolve(tone, room)[:4800]
    model = H.DDSPHybrid(target, 440.0, 48000, K_harm=8, M_noise=32, L_reverb=64)
    losses, sounds = model.train(1000, 0.05, keep=(0, 999), progress=False)
    error = onp.mean((model.synth() - target) ** 2)
    assert onp.mean(target**2) / error > 100, "100 times below silence"
    assert error <= losses.min() * (1 + 1e-9), "the best is kept" 
    assert set(sounds) == {0, 999}

def test_a_diverging_loss_is_reported():
    model = H.DDSPHybrid(onp.ones(200), 440.0, 16000)
    with pytest.raises(FloatingPointError, match="at step 0"):
        model.train(5, loss=lambda y: np.sum(y) * np.nan, progress=False)

@pytest.mark.parametrize("name, cents", [("violin_G3", 10), ("trumpet_C4", 10), ("cello_C3", 15), ("clarinet_D4", 10)])
def test_measured_pitch(name, cents):
    from ddsp_book.audio import examples
    audio, rate = example(name)
    f0_hz, gain = H.measure(audio[:2 * rate], rate)
    nominal = float(next(row for row in examples() if row["name"] == name)["nominal_hz"])
    assert abs(1200 * onp.log2(onp.median(f0_hz) / nominal)) < cents
    assert f0_hz.shape == gain.shape == (2 * rate,) and gain.max() == 1 and gain.min() >= 0

@pytest.mark.parametrize("audio, complaint", [
    (onp.zeros(16000), "silent"),
    (onp.ones(100), "at least 50 ms"),
    (onp.full(9000, onp.nan), "NaN"),
    (onp.zeros((2, 9000)), "samples"),
])
def test_measure_refuses(audio, complaint):
    with pytest.raises(ValueError, match=complaint): H.measure(audio, 16000)

@pytest.mark.parametrize("arguments, complaint", [
    (dict(target=onp.zeros((2, 5))), "target: expected"), (dict(target=[]), "target"),
    (dict(target=[onp.nan] * 5), "target"), (dict(f0_hz=0.0), "f0_hz"), (dict(f0_hz=-440.0), "f0_hz"),
    (dict(f0_hz=onp.full(4, 440.0)), "f0_hz: expected 5 samples, got 4"), (dict(sample_rate=0), "sample_rate"),
    (dict(gain=[1.0, onp.inf, 1, 1, 1]), "gain"), (dict(K_harm=0), "K_harm"), (dict(L_reverb=-1), "L_reverb"),
])
def test_the_model_refuses(arguments, complaint):
    sound = {"target": onp.ones(5), "f0_hz": 440.0, "sample_rate": 16000}
    with pytest.raises(ValueError, match=complaint): H.DDSPHybrid(**{**sound, **arguments})

def test_long_notes_are_refused():
    with pytest.raises(ValueError, match="at most 10 s"): H.learn_note(onp.ones(11 * 8000), 8000)

PATCHES = ("violin_A4", "trumpet_C4", "flute_A4", "clarinet_D4", "cello_C3", "saxophone_G3")

@pytest.mark.parametrize("name", PATCHES)
def test_shipped_patches_sound_like_their_recordings(name):
    recording = example(name)[0][:16000]
    loss, patch = H.SpectralLoss(recording), H.example_patch(name)
    played = H.render_patch(patch)
    assert loss.distance_db(played) < 0.3 * loss.distance_db(onp.zeros(16000))
    assert onp.abs(played).max() <= 1 and example(name)[0].max() and name in patch["origin"]

def test_a_patch_goes_round(tmp_path):
    model = H.DDSPHybrid(rng.standard_normal(1000), 440.0, 16000, K_harm=5, M_noise=8, L_reverb=32)
    patch = H.export(model, "Grüße </script>", "made here")
    H.save_patch(tmp_path / "p.json", patch)
    back = H.load_patch(tmp_path / "p.json")
    assert back == json.loads(json.dumps(patch))
    needed = {"fs", "N", "K_harm", "M_noise", "L_reverb",
              "harmonic_amps", "noise_fir", "reverb_ir"}
    assert needed <= set(back["values"])
    assert onp.abs(H.render_patch(back) - model.synth()).max() < 1e-7

def change(path, value):
    def spoil(patch):
        *parents, last = path
        for key in parents: patch = patch[key]
        patch[last] = value
    return spoil

@pytest.mark.parametrize("spoil, complaint", [
    (change(["format"], "other"), "not a patch"), (change(["version"], 2), "version"),
    (change(["synth"], "fm6"), "synth"), (change(["values"], None), "values"),
    (change(["values", "fs"], 0), "fs"), (change(["values", "fs"], "48k"), "fs"),
    (change(["values", "f0_hz"], -1.0), "f0_hz"), (change(["values", "K_harm"], 99), "harmonic_amps"),
    (change(["values", "K_harm"], 10**12), "K_harm"), (change(["values", "K_harm"], "5"), "K_harm"),
    (change(["values", "noise_fir"], [float("nan")] * 8), "noise_fir"),
    (change(["values", "noise_fir"], ["a"] * 8), "noise_fir"),
    (change(["values", "harmonic_amps", 0], 0.123), "sha256"),
    (change(["values", "reverb_ir"], "x" * 32), "reverb_ir"),
    (change(["performance"], {"every": 1, "f0_hz": [-1], "gain": [1]}), "performance"),
    (change(["performance"], 7), "performance"), (change(["values", "noise_seed"], 1.5), "noise_seed"),
    (change(["values", "N"], 10**15), "N"),
])
def test_tampered_patches_are_refused(tmp_path, spoil, complaint):
    model = H.DDSPHybrid(rng.standard_normal(400), 440.0, 16000, K_harm=5, M_noise=8, L_reverb=32)
    patch = json.loads(json.dumps(H.export(model, "p")))
    spoil(patch)
    (tmp_path / "p.json").write_text(json.dumps(patch))
    with pytest.raises(ValueError, match=complaint): H.load_patch(tmp_path / "p.json")

def test_cut_off_patches_are_refused_at_every_length(tmp_path):
    path = tmp_path / "p.json"
    H.save_patch(path, H.export(H.DDSPHybrid(onp.ones(200), 440.0, 16000, K_harm=2, M_noise=2, L_reverb=4), "p"))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off"): H.load_patch(path)

def test_an_interrupted_save_leaves_the_old_patch(tmp_path, monkeypatch):
    path = tmp_path / "p.json"
    patch = H.export(H.DDSPHybrid(onp.ones(200), 440.0, 16000, K_harm=2), "first")
    H.save_patch(path, patch)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt): H.save_patch(path, {**patch, "name": "second"})
    assert H.load_patch(path)["name"] == "first" and os.listdir(tmp_path) == ["p.json"]
    bad = copy.deepcopy(patch); bad["values"]["fs"] = -1
    with pytest.raises(ValueError): H.save_patch(path, bad)
