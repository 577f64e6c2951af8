"Harmonic bank, noise and reverb against plain formulas, scipy and closed forms; gradients, memory, blocks, bad input."
import math
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.harmonic import (FilteredNoiseGenerator, HarmonicOscillator, Parallel, Reverb, audible, end_phase, exp_sigmoid,
                                filter_noise, harmonic_bank, log_bands, reverberate, upsample)

torch.set_num_threads(1)
RATE, HOP = 16000, 64
def rand(*shape, seed=0): return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
def snr_db(exact, got): return 10 * np.log10(float(exact.detach().square().mean() / (exact - got).detach().square().mean()))


def plain(f0_hz, levels, rate, hop, start=0.0):
    "Sample by sample, harmonic by harmonic, in NumPy."
    def up(x):
        at, n = np.arange(x.shape[-1] * hop) / hop, np.arange(x.shape[-1])
        return np.array([np.interp(at, n, row) for row in x])
    f = up(f0_hz.numpy()) / rate
    phi = np.asarray(start)[..., None] + np.cumsum(f, 1) - f
    return torch.from_numpy(sum(up(levels[..., k].numpy()) * np.sin(2 * np.pi * (k + 1) * phi) for k in range(levels.shape[-1])))


# From frames to samples ---------------------------------------------------------------------------------------------------

def test_upsample_is_linear_interpolation():
    x = rand(3, 20, 2)
    theirs = [[np.interp(np.arange(140) / 7, np.arange(20), x[b, :, c]) for c in range(2)] for b in range(3)]
    np.testing.assert_allclose(upsample(x, 7), np.moveaxis(np.array(theirs), 1, 2), atol=1e-12)
    np.testing.assert_allclose(upsample(x[..., 0], 7), np.array(theirs)[:, 0], atol=1e-12)
    assert upsample(x[:, :1], 1).shape == (3, 1, 2)


# The harmonic bank --------------------------------------------------------------------------------------------------------

@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 3), frames=st.integers(1, 9), hop=st.integers(1, 70), harmonics=st.integers(1, 40), seed=st.integers(0, 99))
def test_bank_is_the_sum_of_sines(batch, frames, hop, harmonics, seed):
    f0, start = 20 + 170 * rand(batch, frames, seed=seed), rand(batch, seed=seed)
    amplitude, shares = rand(batch, frames, seed=seed + 1), rand(batch, frames, harmonics, seed=seed + 2)
    got = harmonic_bank(f0, amplitude, shares, RATE, hop, start)
    assert (got - plain(f0, amplitude[..., None] * shares, RATE, hop, start)).abs().max() < 1e-9 * harmonics


def test_many_stretches_are_one():
    f0, levels = 60 + 19 * rand(2, 700), rand(2, 700, 100)
    got = harmonic_bank(f0, torch.ones_like(f0), levels, RATE, HOP)
    assert (got - plain(f0, levels, RATE, HOP)).abs().max() < 1e-7


def test_float32_is_exact_to_110_db_there_and_back():
    f0, levels, g = (60 + 19 * rand(1, 300)), rand(1, 300, 100) / 100, rand(1, 19200) - 0.5
    def both(dtype):
        f, a = (x.to(dtype).requires_grad_() for x in (f0.float(), levels.float()))
        y = harmonic_bank(f, torch.ones_like(f), a, RATE, HOP)
        return y, *torch.autograd.grad(y, (f, a), g.to(dtype))
    for exact, got in zip(both(torch.float64), both(torch.float32)): assert snr_db(exact, got.double()) > 110


@pytest.mark.parametrize("harmonics, hop", [(1, 3), (2, 5), (7, 4), (12, 2)])
def test_gradcheck(harmonics, hop):
    f0, amplitude, start = (100 + 100 * rand(2, 4)).requires_grad_(), rand(2, 4).requires_grad_(), rand(2).requires_grad_()
    shares = rand(2, 4, harmonics).requires_grad_()
    assert torch.autograd.gradcheck(lambda *c: harmonic_bank(*c[:3], RATE, hop, c[3]), (f0, amplitude, shares, start))


def test_hours_in_tune():
    "Ten minutes at 440.1 Hz, the last second: closed form."
    f0 = torch.full((1, 150000), 440.1)
    y = harmonic_bank(f0, torch.ones_like(f0), torch.ones(1, 150000, 1), RATE, HOP)[0, -RATE:]
    n = torch.arange(150000 * HOP)[-RATE:].double()
    exact = torch.sin(2 * math.pi * ((n * float(f0[0, 0]) / RATE) % 1))
    assert snr_db(exact, y.double()) > 100


def test_little_is_kept_for_the_way_back():
    f0, levels, kept = 60 + rand(4, 250).float(), rand(4, 250, 100).float().requires_grad_(), {}
    def keep(x): kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes(); return x
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x): harmonic_bank(f0, torch.ones_like(f0), levels, RATE, HOP)
    assert sum(kept.values()) < 4 * 16000 * 100 * 4 / 20, "one plain table of sines, divided by 20"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(50, 7000), min_size=2, max_size=12))
def test_nothing_folds(curve):
    "No harmonic sounds in a frame, or between two, where it is at Nyquist or above."
    f0 = torch.tensor([curve], dtype=torch.float64)
    may = audible(f0, 60, RATE)
    high = upsample(f0, 16)
    for k in range(1, 61):
        level = upsample(may[..., k - 1].double(), 16)
        assert (k * high[level > 0] < RATE / 2).all()
        assert may[0, :, k - 1].all() if k * max(curve) < RATE / 2 else True


def test_a_sweep_through_nyquist_is_clean():
    f0 = (3000 * 3 ** torch.linspace(0, 1, 400).double())[None]
    y = harmonic_bank(f0, torch.ones_like(f0), torch.ones(1, 400, 3).double(), RATE, HOP)[0]
    f, t, S = scipy.signal.stft(y.numpy(), RATE, "blackmanharris", 1024, 896)
    pitch = np.interp(t, np.arange(400) * HOP / RATE, f0[0])
    off = np.min([abs(f[:, None] - k * pitch) for k in (1, 2, 3)], 0) > 400
    quiet = 20 * np.log10(np.abs(S[:, 10:-10][off[:, 10:-10]]).max() / np.abs(S).max())
    assert quiet < -45, f"{quiet:.0f} dB away from any harmonic"


def test_no_pitch_is_silent():
    f0 = torch.tensor([[200.0, 200, 0, 0, 0, 200, 200]])
    y = harmonic_bank(f0, torch.ones_like(f0), torch.ones(1, 7, 3), RATE, HOP)
    assert (y[:, 2 * HOP:5 * HOP] == 0).all() and y[:, :HOP].abs().max() > 0.1
    assert (y.diff().abs() < 0.7).all()


def test_blocks_are_the_whole():
    f0, amplitude, shares = 100 + 200 * rand(2, 41), rand(2, 41), rand(2, 41, 12)
    whole = harmonic_bank(f0, amplitude, shares, RATE, HOP)
    start, parts = None, []
    for a in range(0, 40, 8):
        block = [x[:, a:a + 9] for x in (f0, amplitude, shares)]
        parts.append(harmonic_bank(*block, RATE, HOP, start)[:, :8 * HOP])
        start = end_phase(block[0], RATE, HOP, start)
    assert (torch.cat(parts, 1) - whole[:, :40 * HOP]).abs().max() < 1e-9


def test_rows_do_not_mix():
    f0, levels = 100 + 50 * rand(3, 300), rand(3, 300, 20)
    both = harmonic_bank(f0, torch.ones_like(f0), levels, RATE, HOP)
    alone = harmonic_bank(f0[1:2], torch.ones_like(f0[1:2]), levels[1:2], RATE, HOP)
    assert (both[1:2] - alone).abs().max() < 1e-10


# The oscillator -----------------------------------------------------------------------------------------------------------

def test_oscillator_shares_among_the_audible():
    f0, amplitude = torch.full((1, 50), 3000.0).double(), torch.full((1, 50), 0.5).double()
    y = HarmonicOscillator(RATE, HOP, 5)(f0, amplitude, rand(1, 50, 1).expand(1, 50, 5))
    two = harmonic_bank(f0, amplitude, torch.tensor([0.5, 0.5]).double().expand(1, 50, 2), RATE, HOP)
    assert (y - two).abs().max() < 1e-6
    assert y.abs().max() <= 0.5


def test_oscillator_with_all_shares_zero_is_silent_and_finite():
    shares = torch.zeros(1, 10, 4, requires_grad=True)
    y = HarmonicOscillator(n_harmonics=4)(torch.full((1, 10), 200.0), torch.ones(1, 10), shares)
    y.sum().backward()
    assert (y == 0).all() and shares.grad.isfinite().all()


def test_exp_sigmoid():
    x = torch.linspace(-100, 100, 401, dtype=torch.float64)
    np.testing.assert_allclose(exp_sigmoid(x), 2 / (1 + np.exp(-x.numpy())) ** np.log(10) + 1e-7, rtol=1e-9)
    assert torch.autograd.gradcheck(exp_sigmoid, x[::40].clone().requires_grad_())
    wild = torch.tensor([-1e9, 1e9], requires_grad=True)
    exp_sigmoid(wild).sum().backward()
    assert wild.grad.isfinite().all()


# Noise --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hop, bands", [(64, 65), (128, 65), (32, 33), (7, 5), (1, 3), (64, 2)])
def test_a_steady_filter_is_scipys_convolution(hop, bands):
    noise, magnitudes, taps = rand(2, 40 * hop) - 0.5, rand(2, 1, bands), 2 * (bands - 1)
    got = filter_noise(noise, magnitudes.expand(2, 40, bands), hop)
    for row in range(2):
        ir = np.roll(np.fft.irfft(magnitudes[row, 0].numpy(), taps), taps // 2) * scipy.signal.get_window("hann", taps)
        exact = scipy.signal.fftconvolve(noise[row].numpy(), ir)[taps // 2:taps // 2 + 40 * hop]
        np.testing.assert_allclose(got[row], exact, atol=1e-12)


def test_a_moving_filter_filters_each_frame_whole():
    hop, taps = 16, 32
    noise, magnitudes = rand(1, 10 * hop) - 0.5, rand(1, 10, 17)
    total = np.zeros(10 * hop + taps)
    for i in range(10):
        ir = np.roll(np.fft.irfft(magnitudes[0, i].numpy(), taps), taps // 2) * scipy.signal.get_window("hann", taps)
        total[i * hop:(i + 1) * hop + taps - 1] += np.convolve(noise[0, i * hop:(i + 1) * hop], ir)
    np.testing.assert_allclose(filter_noise(noise, magnitudes, hop)[0], total[taps // 2:][:10 * hop], atol=1e-12)


@pytest.mark.parametrize("scale, bands", [("linear", 65), ("log", 64)])
def test_rejection(scale, bands):
    "Pass below 2 kHz, block above: at least 50 dB between 1.5 kHz and one bell's foot further up."
    generator = FilteredNoiseGenerator(bands=bands, scale=scale).double()
    if scale == "linear": at_hz = np.linspace(0, 8000, bands)
    else: at_hz = np.geomspace(20, 8000, bands)
    magnitudes = torch.tensor((at_hz < 2000).astype(float)).expand(1, 500, bands)
    y = generator(magnitudes, generator=torch.Generator().manual_seed(0))
    f, power = scipy.signal.welch(y[0].numpy(), RATE, "blackmanharris", 2048)
    rejection = 10 * np.log10(power[(f > 100) & (f < 1500)].mean() / power[f > 3800 if scale == "log" else f > 2400].max())
    assert rejection > 50, f"{rejection:.0f} dB"


def test_noise_level_is_the_magnitude():
    y = FilteredNoiseGenerator()(torch.full((1, 2000, 65), 0.3), generator=torch.Generator().manual_seed(0))
    assert abs(y.std() - 0.3) < 0.01


def test_noise_blocks_with_tails_are_the_whole():
    generator, noise, magnitudes = FilteredNoiseGenerator().double(), rand(1, 40 * HOP) - 0.5, rand(1, 40, 65)
    whole = generator(magnitudes, noise, tail=True)
    total = torch.zeros_like(whole)
    for a in range(0, 40, 8):
        part = generator(magnitudes[:, a:a + 8], noise[:, a * HOP:(a + 8) * HOP], tail=True)
        total[:, a * HOP:a * HOP + part.shape[1]] += part
    assert (total - whole).abs().max() < 1e-12


def test_log_bands_cover_everything_once():
    for bands, taps in ((64, 256), (8, 64), (1, 16)):
        bells = log_bands(bands, taps, RATE)
        assert bells.shape == (bands, taps // 2 + 1) and (bells.sum(0) - 1).abs().max() < 1e-5 and bells.min() >= 0


def test_noise_gradcheck_and_seeds():
    magnitudes, noise = rand(2, 3, 5).requires_grad_(), (rand(2, 12) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda n, m: filter_noise(n, m, 4), (noise, magnitudes))
    def make(seed): return FilteredNoiseGenerator()(torch.ones(1, 5, 65), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(make(1), make(1)) and not torch.equal(make(1), make(2))


# Reverb, composition ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n, taps", [(100, 30), (100, 300), (1, 1), (80, 81)])
def test_reverb_is_causal_convolution(n, taps):
    x, h = rand(2, n) - 0.5, rand(taps) - 0.5
    exact = np.array([np.convolve(row, h)[:n] for row in x])
    np.testing.assert_allclose(reverberate(x, h), exact, atol=1e-12)
    np.testing.assert_allclose(reverberate(x, h.expand(2, taps)), exact, atol=1e-12)
    assert torch.autograd.gradcheck(reverberate, (rand(1, 6).requires_grad_(), rand(4).requires_grad_()))


def test_reverb_starts_as_the_sound_and_a_faint_room():
    reverb, x = Reverb(8000), rand(2, 16000).float() - 0.5
    rest = reverb(x) - x
    assert -25 < 10 * torch.log10(rest.square().mean() / x.square().mean()) < -3
    ir = reverb.impulse_response()
    assert ir[0] == 1 and ir[4000:].square().sum() < 0.02 * ir[1:].square().sum()
    reverb(x).square().sum().backward()
    assert reverb.room.grad.abs().max() > 0
    assert torch.equal(Reverb(100).room, Reverb(100).room) and Reverb(1)(x).allclose(x, atol=1e-6)


def test_parallel_then_room():
    torch.manual_seed(0)
    synth = Parallel(tone=HarmonicOscillator(n_harmonics=3), hiss=FilteredNoiseGenerator(), weights=[0.8, 0.2], learn=True)
    controls = {"tone": dict(f0_hz=torch.full((1, 20), 300.0), amplitude=torch.ones(1, 20), distribution=torch.ones(1, 20, 3)),
                "hiss": dict(magnitudes=torch.ones(1, 20, 65), noise=torch.randn(1, 1280))}
    parts, reverb = synth.parts(controls), Reverb(500)
    assert torch.equal(synth(controls), parts["tone"] + parts["hiss"])
    whole = torch.nn.Sequential(synth, reverb)
    assert torch.equal(whole(controls), reverb(parts["tone"] + parts["hiss"]))
    whole(controls).square().sum().backward()
    assert synth.weights.grad.abs().min() > 0 and len(list(whole.parameters())) == 2
    again = torch.nn.Sequential(Parallel(tone=HarmonicOscillator(n_harmonics=3), hiss=FilteredNoiseGenerator(), learn=True), Reverb(500))
    again.load_state_dict(whole.state_dict())
    assert torch.equal(again(controls), whole(controls))
    assert not list(Parallel(tone=HarmonicOscillator()).parameters())


# Bad input ----------------------------------------------------------------------------------------------------------------

def test_bad_input_is_refused_at_the_door():
    f0, one, shares, osc = torch.full((2, 5), 200.0), torch.ones(2, 5), torch.ones(2, 5, 3), HarmonicOscillator(n_harmonics=3)
    def bank(f=f0, a=one, d=shares, rate=RATE, hop=HOP, start=None): return harmonic_bank(f, a, d, rate, hop, start)
    with pytest.raises(ValueError, match="f0_hz.*batch, frames"): bank(f=f0[0])
    with pytest.raises(ValueError, match="f0_hz.*NaN"): bank(f=f0 * float("nan"))
    with pytest.raises(ValueError, match="f0_hz.*0 or more"): bank(f=-f0)
    with pytest.raises(ValueError, match=r"amplitude.*\(2, 5\)"): bank(a=one[:, :4])
    with pytest.raises(ValueError, match="distribution.*harmonics"): bank(d=shares[0])
    with pytest.raises(ValueError, match="sample_rate"): bank(rate=0)
    with pytest.raises(ValueError, match="hop"): bank(hop=2.5)
    with pytest.raises(ValueError, match="start"): bank(start=torch.zeros(3))
    with pytest.raises(ValueError, match="distribution.*3"): osc(f0, one, torch.ones(2, 5, 4))
    with pytest.raises(ValueError, match="n_harmonics"): HarmonicOscillator(n_harmonics=0)
    with pytest.raises(ValueError, match="scale"): FilteredNoiseGenerator(scale="mel")
    with pytest.raises(ValueError, match="magnitudes.*65"): FilteredNoiseGenerator()(torch.ones(1, 5, 64))
    with pytest.raises(ValueError, match=r"noise.*\(1, 320\)"): FilteredNoiseGenerator()(torch.ones(1, 5, 65), torch.ones(1, 64))
    with pytest.raises(ValueError, match="length"): Reverb(0)
    with pytest.raises(ValueError, match="audio"): Reverb(10)(torch.ones(5))
    with pytest.raises(ValueError, match="weights"): Parallel(weights=[1.0, 2.0], tone=osc)
    with pytest.raises(ValueError, match="controls.*tone"): Parallel(tone=osc)({})
    with pytest.raises(ValueError, match="frames"): upsample(torch.ones(4), 2)
