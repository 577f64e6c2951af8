"""The spectral losses against torch.stft, auraloss, librosa, SciPy and closed forms."""
import math

import auraloss
import librosa
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ddsp_book.spectral import (MultiScaleSpectralLoss, SpectralFeatures, TransportLoss, damped_wave, feature_distance, fit_tone,
                                plain_distance, power_spectrum, spectral_peak, spectral_stats, spectrum, tone, transport)

RATE, SIX = 16000, (2048, 1024, 512, 256, 128, 64)


def noise(*size, seed=0, dtype=torch.double, scale=0.1):
    return scale * torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=dtype)

def sine(*f_hz, n=4096, dtype=torch.double):
    f = torch.tensor(f_hz, dtype=dtype)
    ones = torch.ones(len(f), 1, dtype=dtype)
    return tone(f, ones, 0 * ones, n, RATE)

def slope_of(each, audio):
    audio = audio.clone().requires_grad_()
    value = each(audio)
    return value.detach(), torch.autograd.grad(value.sum(), audio)[0]


# Spectra ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("n_fft, hop", [(64, None), (256, 64), (1024, 256), (512, 200)])
def test_spectrum_is_that_of_torch(n_fft, hop, mirror):
    x = noise(3, 3001)
    theirs = torch.stft(x, n_fft, hop or n_fft // 4, window=torch.hann_window(n_fft, dtype=x.dtype), center=mirror, return_complex=True).mT
    torch.testing.assert_close(spectrum(x, n_fft, hop, mirror), theirs)
    torch.testing.assert_close(power_spectrum(x, n_fft, hop, mirror), theirs.abs().square())


def test_statistics_in_closed_form():
    bins = 1025
    f = torch.linspace(0, RATE / 2, bins, dtype=torch.double)
    peak = torch.eye(bins, dtype=torch.double)[[0, 100, 1024]]
    stats = spectral_stats(peak, RATE)
    torch.testing.assert_close(stats.centroid_hz, f[[0, 100, 1024]])
    assert (stats.spread_hz == 0).all() and (stats.flatness < 1e-20).all()
    assert ((stats.rolloff_hz - f[[0, 100, 1024]]).abs() <= f[1]).all()
    flat = spectral_stats(torch.ones(2, 3, bins, dtype=torch.double), RATE)
    assert flat.centroid_hz.shape == (2, 3)
    torch.testing.assert_close(flat.centroid_hz, torch.full((2, 3), 4000.0, dtype=torch.double))
    torch.testing.assert_close(flat.flatness, torch.ones(2, 3, dtype=torch.double))
    torch.testing.assert_close(flat.spread_hz, torch.full_like(flat.spread_hz, 8000 / math.sqrt(12)), rtol=2e-3, atol=0)
    torch.testing.assert_close(flat.rolloff_hz, torch.full_like(flat.rolloff_hz, 0.95 * 8000), rtol=1e-3, atol=0)
    two = 3 * peak[1] + torch.eye(bins, dtype=torch.double)[300]
    assert spectral_stats(two, RATE).centroid_hz.item() == pytest.approx((3 * f[100] + f[300]).item() / 4)
    assert spectral_stats(two, RATE).spread_hz.item() == pytest.approx((f[300] - f[100]).item() * math.sqrt(3) / 4)


def test_statistics_are_those_of_librosa():
    power = power_spectrum(noise(1, 8000), 1024)
    S = power[0].T.numpy()
    ours = spectral_stats(power, RATE, rolloff=0.85)
    np.testing.assert_allclose(ours.centroid_hz[0], librosa.feature.spectral_centroid(S=S, sr=RATE)[0])
    np.testing.assert_allclose(ours.spread_hz[0], librosa.feature.spectral_bandwidth(S=S, sr=RATE)[0])
    np.testing.assert_allclose(ours.flatness[0], librosa.feature.spectral_flatness(S=S, power=1, amin=1e-30)[0], rtol=1e-6)
    theirs = librosa.feature.spectral_rolloff(S=S, sr=RATE, roll_percent=0.85)[0]  # a whole bin; ours lies between two
    assert ((theirs - ours.rolloff_hz[0].numpy() >= 0) & (theirs - ours.rolloff_hz[0].numpy() <= RATE / 1024)).all()


def test_statistics_of_silence_and_their_gradients():
    silent = torch.zeros(2, 65, requires_grad=True)
    stats = spectral_stats(silent, RATE)
    assert all((value == 0).all() for value in stats)
    sum(value.sum() for value in stats).backward()
    assert silent.grad.isfinite().all()
    power = noise(2, 33, scale=1.0).square() + 0.1
    power.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: tuple(spectral_stats(p, RATE)), power)


def test_statistics_refuse_a_logarithm():
    with pytest.raises(ValueError, match="power: .*logarithm"): spectral_stats(torch.tensor([[1.0, -0.5]]), RATE)
    with pytest.raises(ValueError, match="rolloff"): spectral_stats(torch.ones(1, 5), RATE, rolloff=1.0)
    with pytest.raises(ValueError, match="sample_rate"): spectral_stats(torch.ones(1, 5), 0)


# The multi-scale loss ---------------------------------------------------------------------------------------------------

def as_auraloss(n_ffts, linear, log): return auraloss.freq.MultiResolutionSTFTLoss(n_ffts, [n // 4 for n in n_ffts], n_ffts, w_sc=0, w_log_mag=log, w_lin_mag=linear)

@pytest.mark.parametrize("linear, log", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_value_and_gradient_are_those_of_auraloss(linear, log):
    y, x = noise(4, 8000), noise(4, 8000, seed=1)
    peer = as_auraloss(SIX, linear, log).double()
    for n, f in zip(SIX, peer.stft_losses): f.window = torch.hann_window(n, dtype=torch.double)  # its own are made in float32
    ours, slope = slope_of(lambda y: MultiScaleSpectralLoss(SIX, linear, log, average=True).each(y, x).mean(), y)
    theirs, expected = slope_of(lambda y: peer(y[:, None], x[:, None]), y)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
    assert (slope - expected).abs().max() <= 1e-6 * expected.abs().max()


SETTINGS = {"paper": MultiScaleSpectralLoss.paper(), "lightweight": MultiScaleSpectralLoss.lightweight(),
            "whole frames": MultiScaleSpectralLoss((512, 128), mirror=False), "weights": MultiScaleSpectralLoss((256, 64, 16), 0.3, 2.0, 0.7, 0.1)}

@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("samples", [2048, 3001])
def test_hand_written_gradient_is_that_of_autograd(name, samples):
    loss, y, x = SETTINGS[name], noise(2, samples), noise(2, samples, seed=1)
    value, slope = slope_of(lambda y: loss.each(y, x), y)
    plain, expected = slope_of(lambda y: plain_distance(loss, y, x), y)
    torch.testing.assert_close(value, plain, rtol=1e-12, atol=0)
    assert (slope - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_gradient_in_float32():
    "Against the exact one: no less accurate than autograd's. Logarithms near the floor make both noisy."
    loss, y, x = SETTINGS["paper"], noise(2, 16000), noise(2, 16000, seed=1)
    _, exact = slope_of(lambda y: plain_distance(loss, y, x), y)
    _, ours = slope_of(lambda y: loss.each(y, x.float()), y.float())
    _, autograds = slope_of(lambda y: plain_distance(loss, y, x.float()), y.float())
    assert (ours - exact).norm() <= 1.5 * (autograds - exact).norm() <= 2e-3 * exact.norm()
    assert (ours - autograds).abs().max() < 1e-5
    linear = MultiScaleSpectralLoss(log=0.0)
    _, exact = slope_of(lambda y: plain_distance(linear, y, x), y)
    _, ours = slope_of(lambda y: linear.each(y, x.float()), y.float())
    assert (ours - exact).norm() <= 1e-5 * exact.norm()


def test_gradcheck_once_and_twice():
    loss = MultiScaleSpectralLoss((32, 16), time=0.5, floor=1e-3)
    y, x = noise(2, 70, scale=1.0).requires_grad_(), noise(2, 70, seed=1, scale=1.0)
    assert torch.autograd.gradcheck(lambda y: loss.each(y, x), y, eps=1e-8, atol=1e-5)
    assert torch.autograd.gradgradcheck(lambda y: loss.each(y, x), y, eps=1e-8, atol=1e-4)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_known_target_gives_the_same(name):
    loss, y, x = SETTINGS[name], noise(3, 4000, dtype=torch.float32), noise(3, 4000, seed=1, dtype=torch.float32)
    known = loss.analyse(x)
    for one, other in zip(slope_of(lambda y: loss.each(y, known), y), slope_of(lambda y: loss.each(y, x), y)): assert torch.equal(one, other)
    first = loss.analyse(x[:1])
    torch.testing.assert_close(loss.each(y, first), loss.each(y, x[:1].expand(3, -1)))
    assert loss(y, known) == loss.each(y, known).mean()


def test_each_sound_for_itself():
    loss, y, x = SETTINGS["paper"], noise(3, 4000), noise(3, 4000, seed=1)
    torch.testing.assert_close(loss.each(y, x), torch.stack([loss.each(y[i:i + 1], x[i:i + 1])[0] for i in range(3)]))
    _, slope = slope_of(lambda y: loss.each(y, x)[1], y)
    assert (slope[[0, 2]] == 0).all() and slope[1].abs().min() > 0


def test_target_may_have_a_gradient():
    loss, y, x = SETTINGS["lightweight"], noise(1, 4000), noise(1, 4000, seed=1)
    _, towards_target = slope_of(lambda x: loss.each(y, x), x)
    _, expected = slope_of(lambda x: loss.each(x, y), x)
    torch.testing.assert_close(towards_target, expected)


def test_equal_sounds_and_silence():
    for loss in SETTINGS.values():
        for x in (noise(2, 4000, dtype=torch.float32), torch.zeros(2, 4000)):
            value, slope = slope_of(lambda y: loss.each(y, x), x)
            assert value.abs().max() < 1e-6 and slope.isfinite().all()
        value, slope = slope_of(lambda y: loss.each(y, noise(2, 4000, dtype=torch.float32)), torch.zeros(2, 4000))
        assert value.isfinite().all() and slope.isfinite().all()


def test_presets_are_as_published():
    paper, light = MultiScaleSpectralLoss.paper(), MultiScaleSpectralLoss.lightweight()
    assert paper.n_ffts == SIX and (paper.linear, paper.log, paper.time, paper.average) == (1, 1, 0, False)
    assert light.n_ffts == SIX[:4] and (light.linear, light.log, light.time, light.average) == (0, 1, 0.1, True)
    y, x = noise(2, 4000), noise(2, 4000, seed=1)
    assert light(y, x).item() == pytest.approx(MultiScaleSpectralLoss(SIX[:4], 0.0, average=True)(y, x).item() + 0.1 * (y - x).abs().mean().item())


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(129, 600), st.floats(1e-3, 10), st.booleans())
def test_a_distance(seed, samples, scale, mirror):
    "Zero to itself, symmetric, never negative, and for the logarithm the same at any common volume."
    loss = MultiScaleSpectralLoss((128, 32), mirror=mirror)
    y, x = noise(2, samples, seed=seed), noise(2, samples, seed=seed + 1)
    torch.testing.assert_close(loss.each(y, x), loss.each(x, y))
    assert (loss.each(y, x) > 0).all() and (loss.each(y, y) < 1e-12).all()
    log = MultiScaleSpectralLoss((128, 32), linear=0.0, floor=1e-12)
    torch.testing.assert_close(log.each(scale * y, scale * x), log.each(y, x))


def test_bad_input_is_named():
    loss, x = MultiScaleSpectralLoss((256, 64)), noise(2, 1000)
    for call, message in (
        (lambda: loss(x[0], x), r"audio: expected \(batch, samples\), got \(1000,\)"),
        (lambda: loss(x, x[:, :-1]), r"target: expected \(2, 1000\) as audio has, got \(2, 999\)"),
        (lambda: loss(x, noise(3, 1000)), r"target: expected \(2, 1000\)"),
        (lambda: loss(x * float("nan"), x), "audio: .*NaN"),
        (lambda: loss(x, x / 0), "target: .*NaN or"),
        (lambda: loss(x[:, :100], x[:, :100]), "audio: expected at least 129 samples for frames of 256, got 100"),
        (lambda: loss(x, MultiScaleSpectralLoss((256,)).analyse(x)), "target: .*other settings"),
        (lambda: MultiScaleSpectralLoss(()), "n_ffts"), (lambda: MultiScaleSpectralLoss((255,)), "n_ffts"),
        (lambda: MultiScaleSpectralLoss(log=-1.0), "log"), (lambda: MultiScaleSpectralLoss(floor=0.0), "floor"),
        (lambda: spectrum(x, 30), "n_fft"), (lambda: spectrum(x, 64, 0), "hop_length"),
        (lambda: TransportLoss()(x, x), "audio: expected at least 2048"),
        (lambda: spectral_peak(x[:, :4], RATE), "audio"), (lambda: spectral_peak(x, -1), "sample_rate"),
        (lambda: SpectralFeatures(RATE, 400), "n_mels"),
        (lambda: fit_tone(x, RATE, torch.tensor([1.0, -1.0]), lambda y: y.sum(1)), "start_hz"),
    ):
        with pytest.raises(ValueError, match=message): call()
    with pytest.raises(TypeError, match="z: expected a complex"): damped_wave(torch.ones(2), 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    y, x = noise(2, 16000, dtype=torch.float32).cuda(), noise(2, 16000, seed=1, dtype=torch.float32).cuda()
    for loss in SETTINGS.values():
        value, slope = slope_of(lambda y: loss.each(y, x), y)
        expected, _ = slope_of(lambda y: loss.each(y, x.cpu()), y.cpu())
        assert value.is_cuda and slope.is_cuda
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-4, atol=0)
    assert TransportLoss().cuda()(y, x).is_cuda and SpectralFeatures().cuda()(y)[0].is_cuda


# Features ---------------------------------------------------------------------------------------------------------------

def test_log_mel_is_that_of_librosa():
    x = noise(2, 9000, dtype=torch.float32)
    for n, ours in zip((1024, 4096), SpectralFeatures()(x)):
        for row, sound in zip(ours, x.numpy()):
            theirs = librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=n, hop_length=256, n_mels=64, htk=True, norm=None, pad_mode="reflect")
            np.testing.assert_allclose(row, np.log(theirs.T + 1e-6), atol=1e-4)


def test_log_mel_has_a_gradient():
    features = SpectralFeatures(RATE, 8, (256, 128), 64)
    known = features(noise(1, 400, seed=1))
    assert torch.autograd.gradcheck(lambda y: feature_distance(features(y), known), noise(1, 400).requires_grad_())
    assert [f.dtype for f in features(noise(1, 400))] == [torch.double] * 2 and not list(features.parameters())


# Frequency --------------------------------------------------------------------------------------------------------------

@settings(deadline=None, max_examples=25)
@given(st.floats(60, 7900), st.floats(0, 6.28), st.floats(0.01, 1))
def test_peak_is_found(f_hz, phase, amp):
    wave = tone(torch.tensor([f_hz]), torch.tensor([[amp]]), torch.tensor([[phase]]), 4096, RATE)
    assert abs(spectral_peak(wave, RATE).item() - f_hz) < 0.15  # Hz; a bin is 3.9 Hz


def test_tone_is_a_sum_of_sines():
    f, amps, phases = torch.tensor([100.0, 3000.0]), torch.tensor([[1.0, 0.5, 0.2], [0.3, 0.2, 0.1]]), torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 1.0]])
    t = torch.arange(500) / RATE
    k = torch.arange(1, 4)[:, None]
    for i in range(2):
        audible = (k * f[i] < RATE / 2).float()
        expected = (amps[i][:, None] * audible * torch.sin(2 * math.pi * k * f[i] * t + phases[i][:, None])).sum(0)
        torch.testing.assert_close(tone(f, amps, phases, 500, RATE)[i], expected, atol=1e-3, rtol=0)


def test_damped_wave():
    z = 0.999 * torch.exp(torch.tensor(0.3j, dtype=torch.complex128))
    n = torch.arange(1000)
    torch.testing.assert_close(damped_wave(z, 1000), 0.999**n.double() * torch.cos(0.3 * n.double()))
    assert torch.autograd.gradcheck(lambda z: damped_wave(z, 20), z.requires_grad_())
    assert damped_wave(z.expand(2, 3), 7).shape == (2, 3, 7)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10000), st.integers(2, 60))
def test_transport_is_that_of_scipy(seed, bins):
    a, b = noise(4, bins, seed=seed).square(), noise(4, bins, seed=seed + 1).square()
    where = noise(bins, seed=seed + 2).abs().cumsum(0)
    theirs = [scipy.stats.wasserstein_distance(where, where, u, v) for u, v in zip(a, b)]
    np.testing.assert_allclose(transport(a, b, where, p=1), theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(transport(a, b[:1], where), transport(a, b[:1].expand(4, -1), where))
    np.testing.assert_allclose(transport(a, 3 * a, where), 0, atol=1e-12)


def test_transport_of_peaks_and_shapes():
    where, peaks = torch.arange(30, dtype=torch.double), torch.eye(30, dtype=torch.double)
    for p in (1, 2, 3): assert transport(peaks[4], peaks[11], where, p).item() == pytest.approx(7**p)
    bell = torch.exp(-0.5 * (where - 10).square())
    assert transport(bell, bell.roll(9), where).item() == pytest.approx(81, abs=1e-3)  # a shifted shape
    a, b = (0.01 + noise(3, 20).square()).requires_grad_(), noise(3, 20, seed=1).square()
    assert torch.autograd.gradcheck(lambda a: transport(a, b, where[:20]), a)
    silent = torch.zeros(1, 4096, requires_grad=True)
    TransportLoss()(silent, sine(440.0, dtype=torch.float)).backward()
    assert silent.grad.isfinite().all()


def test_transport_points_home():
    f = (60 * 100 ** torch.rand(100, generator=torch.Generator().manual_seed(0))).requires_grad_()
    ones = torch.ones(100, 1)
    TransportLoss().each(tone(f, ones, ones, 4096, RATE), sine(440.0, dtype=torch.float)).sum().backward()
    assert ((f.grad * (f - 440)) > 0).float().mean() > 0.97


@pytest.mark.parametrize("in_hz, lr", [(False, 0.02), (True, 3.0)])
def test_fit_tone_finds_what_is_near(in_hz, lr):
    truth, amps = torch.tensor([220.0, 1000.0]), torch.tensor([[0.5, 0.2], [0.1, 0.3]])
    audio = tone(truth, amps, torch.ones(2, 2), 4096, RATE)
    loss = MultiScaleSpectralLoss(log=0.0, mirror=False)
    fit = fit_tone(audio, RATE, truth * 1.03, lambda y: loss.each(y, audio), 2, 200, lr, in_hz, keep=(0, 100))
    torch.testing.assert_close(fit.f0_hz, truth, rtol=1e-3, atol=0)
    torch.testing.assert_close(fit.amplitudes, amps, rtol=0.05, atol=0)
    assert fit.losses.shape == (200, 2) and set(fit.sounds) == {0, 100} and fit.sounds[0].shape == (2, 4096)


def test_the_table_holds_what_the_chapter_says():
    import csv
    from ddsp_book.audio import DATA
    rows = list(csv.DictReader(open(DATA / "results" / "spectral.csv", encoding="utf-8")))
    methods, tasks = {row["method"] for row in rows}, {row["task"] for row in rows}
    assert len(rows) == len(methods) * len(tasks) and all(int(row["targets"]) >= 50 for row in rows)
    assert all(0 <= int(row["found"]) <= int(row["targets"]) for row in rows)
