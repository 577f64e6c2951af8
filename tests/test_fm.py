"""FM2Op: phase, sidebands, gradients, what happens above Nyquist, and the door,
against references that we did not write."""
import math, warnings
from fractions import Fraction
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings, strategies as st
from scipy.special import jv
from torch.autograd import gradcheck, gradgradcheck
from ddsp_book import page
from ddsp_book.fm import AliasingWarning, FM2Op, carson_hz, decimate, expect_count, expect_rate, expect_tensor, fm2, phase

SR = 16000
hz = st.floats(-7900, 7900, allow_nan=False)

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()

def column(*values, dtype=torch.float64): return [torch.tensor([v], dtype=dtype) for v in values]

def sample_by_sample(f_car, f_mod, index, rate):
    "One note in plain Python: two phases that are moved on by each sample."
    out, car, mod = [], 0.0, 0.0
    for fc, fm, i in zip(f_car, f_mod, index):
        out.append(math.sin(2 * math.pi * car + i * math.sin(2 * math.pi * mod)))
        car, mod = (car + fc / rate) % 1, (mod + fm / rate) % 1
    return np.array(out)


# Phase ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f_hz", [27.5, 440.0, 3520.0, 12543.854])
@pytest.mark.parametrize("moving", [False, True])
def test_a_minute_at_48_khz_stays_in_tune(f_hz, moving):
    n, f = 60 * 48000, torch.tensor([f_hz])
    cycles = phase(f.expand(n)[None] if moving else f, 48000, n)[0]
    assert cycles.dtype == torch.float32 and 0 <= cycles.min() and cycles.max() < 1
    for late in (n // 2, n - 1):
        exactly = float(late * Fraction(f.item()) / 48000 % 1)
        wrong = abs((cycles[late].item() - exactly + 0.5) % 1 - 0.5)
        assert wrong < 1e-4
        assert 1200 * math.log2(1 + wrong / (f_hz * late / 48000)) < 0.1 / 1000  # cents
    last = 2 * np.pi * cycles[-48000:].double().numpy()  # and its pitch, measured from the last second
    measured = np.diff(np.unwrap(last)).mean() * 48000 / 2 / np.pi
    assert abs(1200 * math.log2(measured / f_hz)) < 0.1

@settings(max_examples=50, deadline=None)
@given(st.lists(hz, min_size=1, max_size=4), st.integers(1, 200))
def test_phase_is_wrapped_and_steady_equals_moving(f_hz, n):
    f = torch.tensor(f_hz, dtype=torch.float64)
    steady, moving = phase(f, SR, n), phase(f[:, None].expand(-1, n), SR)
    assert steady.shape == moving.shape == (len(f_hz), n) and not steady[:, 0].any()
    for cycles in (steady, moving, phase(f.float(), SR, n)): assert 0 <= cycles.min() and cycles.max() < 1
    assert torch.allclose(torch.exp(2j * math.pi * steady), torch.exp(2j * math.pi * moving), atol=1e-9)

def test_phase_never_rounds_up_to_one():
    tiny = torch.tensor([-1e-12, 1e-12, SR - 1e-9, -1e-30], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, torch.float16): assert phase(tiny.to(dtype), SR, 100).max() < 1

def test_phase_of_a_glide_agrees_with_scipy():
    t = np.arange(SR) / SR
    f = torch.tensor(200 + 300 * (t + 0.5 / SR))[None]  # each frequency is held for a sample: take its middle
    ours = torch.sin(2 * math.pi * phase(f, SR))[0].numpy()
    assert np.abs(ours - scipy.signal.chirp(t, 200, 1, 500, phi=-90)).max() < 1e-9

def test_gradient_of_phase():
    f = torch.rand(2, 9, dtype=torch.float64).mul(900).requires_grad_()
    gradient, = torch.autograd.grad(phase(f, SR)[:, 5].sum(), f)
    assert torch.allclose(gradient[:, :5], torch.full((2, 5), 1 / SR, dtype=torch.float64)) and not gradient[:, 5:].any()


# The sound ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("moving", ["", "c", "m", "i", "cm", "ci", "mi", "cmi"])
def test_against_a_loop_over_samples(moving):
    n, line = 2000, np.linspace(0, 1, 2000)
    curves = {"c": 440 + 200 * line, "m": 170 - 300 * line, "i": 6 * line}
    steady = {"c": 440.0, "m": 170.0, "i": 2.5}
    played = [torch.tensor(curves[k])[None] if k in moving else torch.tensor([steady[k]], dtype=torch.float64) for k in "cmi"]
    theirs = sample_by_sample(*[curves[k] if k in moving else np.full(n, steady[k]) for k in "cmi"], SR)
    assert np.abs(fm2(*played, n, SR)[0].numpy() - theirs).max() < 1e-9
    assert np.abs(fm2(*[p.float() for p in played], n, SR)[0].numpy() - theirs).max() < 1e-4

@pytest.mark.parametrize("index", [0.0, 0.3, 1.0, 2.404825557695773, 5.0, 8.0])
def test_sidebands_are_bessel_functions(index):
    tone = fm2(*column(4000.0, 210.0, index, dtype=torch.float32), SR, SR)[0]
    lines = -2 / SR * torch.fft.rfft(tone).imag.numpy()
    n = np.arange(-18, 19)
    assert np.abs(lines[4000 + 210 * n] - jv(n, index)).max() < 1e-4
    lines[4000 + 210 * n] = 0
    assert np.abs(lines).max() < 1e-4, "and there is nothing else"

@pytest.mark.parametrize("f_car, f_mod", [(200, 280), (500, 500), (900, 600), (100, 1200)])
def test_lines_below_zero_are_reflected(f_car, f_mod):
    tone = fm2(*column(float(f_car), float(f_mod), 3.0), SR, SR)[0]
    lines, theirs = -2 / SR * torch.fft.rfft(tone).imag.numpy(), np.zeros(SR // 2 + 1)
    for n in range(-40, 41):
        f = (f_car + n * f_mod + SR // 2) % SR - SR // 2  # below zero and beyond Nyquist alike
        theirs[abs(f)] += np.sign(f) * jv(n, 3.0)
    assert np.abs(lines - theirs)[1:-1].max() < 1e-9

@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 1000), st.floats(-5, 5)), min_size=1, max_size=4), st.integers(1, 64))
def test_a_batch_is_its_tones(tones, n):
    f_car, f_mod, index = torch.tensor(tones, dtype=torch.float64).T
    together = FM2Op(SR)(f_car, f_mod, index, n)
    assert together.shape == (len(tones), n) and together.abs().max() <= 1
    for row, tone in zip(together, tones): assert torch.allclose(row, FM2Op(SR)(*column(*tone), n)[0])

def test_index_is_in_radians_whatever_the_rate():
    slow, fast = fm2(*column(300.0, 120.0, 2.0), 800, 8000), fm2(*column(300.0, 120.0, 2.0), 4800, 48000)
    assert torch.allclose(slow, fast[:, ::6], atol=1e-9)

def test_steady_index_is_frequency_modulation():
    t = np.arange(SR) / SR
    swaying = 440 + 2.0 * 280 * np.cos(2 * np.pi * 280 * (t + 0.5 / SR))  # deviation: index × f_mod
    theirs = np.sin(2 * np.pi * np.r_[0, np.cumsum(swaying / SR)[:-1]])
    assert np.abs(fm2(*column(440.0, 280.0, 2.0), SR, SR)[0].numpy() - theirs).max() < 2e-3

def test_carson():
    assert carson_hz(*column(200.0, 280.0, 10.0)).item() == 200 + 11 * 280
    assert carson_hz(*column(200.0, 280.0, 0.0)).item() == 200, "no index, no sidebands"
    index = np.linspace(0.01, 25, 500)
    n = np.arange(-60, 61)
    inside = np.where(np.abs(n) <= index[:, None] + 1, jv(n, index[:, None]) ** 2, 0).sum(1)
    assert 0.955 < inside.min() < 0.97
    assert min((jv(np.arange(-i - 1, i + 2), i) ** 2).sum() for i in range(1, 26)) > 0.98

@pytest.mark.parametrize("factor", [2, 3, 8])
def test_decimate_keeps_what_fits_and_nothing_else(factor):
    "Cosines at frequencies from 0 to twice the new Nyquist: as if sampled slowly, or gone."
    f = torch.linspace(0.01, 1.99, 199, dtype=torch.float64)[:, None]  # in new Nyquists
    y = decimate(torch.cos(torch.pi * f * torch.arange(400 * factor) / factor), factor)
    slow = torch.cos(torch.pi * f * torch.arange(400))
    apart = (y - slow)[:, 40:-40].abs().amax(1)  # away from both ends
    assert y.shape == slow.shape and apart[f[:, 0] <= 0.84].max() < 1e-4
    assert y[f[:, 0] >= 1, 40:-40].abs().max() < 1e-4, "-80 dB"

def test_decimate_agrees_with_scipy():
    noise = np.random.default_rng(0).standard_normal((2, 3000))
    smooth = scipy.signal.sosfiltfilt(scipy.signal.butter(12, 0.7 / 4, output="sos"), noise).copy()  # all of it below
    ours, theirs = decimate(torch.tensor(smooth), 4).numpy(), scipy.signal.resample_poly(smooth, 1, 4, axis=1, window=("kaiser", 8))
    assert ours.shape == theirs.shape == (2, 750)
    assert np.abs(ours - theirs)[:, 60:-60].max() < 2e-2 * np.abs(theirs).max()

@pytest.mark.parametrize("y, factor, name", [(torch.ones(10), 2, "y"), (torch.full((1, 9), math.nan), 2, "y"), (torch.ones(1, 9), 0, "factor"), (torch.ones(1, 9), 1.5, "factor")])
def test_decimate_names_what_is_wrong(y, factor, name):
    with pytest.raises(ValueError, match=f"^{name}: "): decimate(y, factor)

def test_module_holds_nothing_to_learn():
    op = FM2Op(22050)
    assert not list(op.parameters()) and not op.state_dict()
    tone = column(300.0, 120.0, 2.0)
    assert torch.equal(op(*tone, 50), fm2(*tone, 50, 22050)) and torch.equal(op(*tone, n_samples=50), op(f_car=tone[0], f_mod=tone[1], I=tone[2], n_samples=50))

@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype): assert fm2(*column(300.0, 120.0, 2.0, dtype=dtype), 50, SR).dtype == dtype

@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("oversample", [1, 2])
def test_device_is_kept(device, oversample):
    there = [c.to(device) for c in column(300.0, 120.0, 2.0)]
    y = fm2(*there, 50, SR, oversample)
    assert y.device.type == device and torch.allclose(y.cpu(), fm2(*column(300.0, 120.0, 2.0), 50, SR, oversample))

@pytest.mark.parametrize("oversample", [1, 2])
def test_traces_in_one_piece(oversample):
    traced = torch.compile(FM2Op(SR, oversample), backend="eager", fullgraph=True)
    tone = column(300.0, 120.0, 2.0)
    assert torch.allclose(traced(*tone, 64), FM2Op(SR, oversample)(*tone, 64))


# Gradients ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("oversample", [1, 3])
@pytest.mark.parametrize("moving", [False, True])
def test_gradcheck(moving, oversample):
    draw = torch.Generator().manual_seed(1)
    shape = (2, 12) if moving else (2,)
    controls = [(low + span * torch.rand(shape, generator=draw, dtype=torch.float64)).requires_grad_()
                for low, span in ((400, 200), (100, 300), (0.5, 4))]
    op = lambda *c: fm2(*c, 12, SR, oversample)
    assert gradcheck(op, controls, check_forward_ad=True) and gradgradcheck(op, controls)

def test_gradients_by_hand():
    n, (f_car, f_mod, index) = 400, column(440.0, 280.0, 2.0)
    controls = [c.requires_grad_() for c in (f_car, f_mod, index)]
    weight = torch.linspace(-1, 1, n, dtype=torch.float64)
    found = torch.autograd.grad((fm2(*controls, n, SR)[0] * weight).sum(), controls)
    t = np.arange(n) / SR
    theta, phi = 2 * np.pi * 440 * t, 2 * np.pi * 280 * t
    slope = weight.numpy() * np.cos(theta + 2 * np.sin(phi))
    expected = (2 * np.pi * t * slope).sum(), (4 * np.pi * t * np.cos(phi) * slope).sum(), (np.sin(phi) * slope).sum()
    assert np.allclose([g.item() for g in found], expected, rtol=1e-9)

def test_float32_gradients_are_good_at_the_end_of_a_minute():
    n, late = 60 * SR, slice(60 * SR - 1000, None)
    def gradient(dtype):
        controls = [c.requires_grad_() for c in column(440.0, 280.0, 2.0, dtype=dtype)]
        return torch.stack(torch.autograd.grad(fm2(*controls, n, SR)[0, late].square().sum(), controls)).flatten().double()
    assert torch.allclose(gradient(torch.float32), gradient(torch.float64), rtol=1e-3, atol=1e-3)

def test_the_loss_over_the_index_is_a_bessel_function():
    index = torch.linspace(0, 12, 25)
    f_car, f_mod = torch.full((25,), 440.0), torch.full((25,), 170.0)
    y = fm2(f_car, f_mod, index, SR, SR)
    loss = (y - y[4]).square().mean(-1).numpy()
    assert np.abs(loss - (1 - jv(0, index.numpy() - 2))).max() < 1e-3

@pytest.mark.parametrize("start", [0.1, 1.0, 3.5, 5.5])
def test_the_index_of_a_known_tone_is_found(start):
    target = fm2(*column(440.0, 170.0, 2.0), 1600, SR)
    index = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([index], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (fm2(*column(440.0, 170.0), index, 1600, SR) - target).square().mean().backward()
        optimizer.step()
    assert abs(index.item() - 2) < 0.01


# Above Nyquist ----------------------------------------------------------------------------------------------

def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AliasingWarning)
        return fm2(*arguments, **options)

@pytest.mark.parametrize("f_car", [8000.0, 8001.0, 12000.0, 1e6, -9000.0])
def test_a_carrier_above_nyquist_is_silent(f_car): assert not quietly(*column(f_car, 100.0, 1.0), 500, SR).any()

@pytest.mark.parametrize("f_mod", [8000.0, 15900.0, -8000.0])
def test_a_modulator_above_nyquist_does_nothing(f_mod):
    assert torch.allclose(quietly(*column(440.0, f_mod, 5.0), 500, SR), fm2(*column(440.0, 0.0, 0.0), 500, SR))

def test_a_carrier_that_crosses_nyquist_is_silent_from_there():
    f = torch.linspace(7000, 9000, 1000, dtype=torch.float64)[None]
    y = quietly(f, *column(0.0, 0.0), 1000, SR)[0]
    assert y[:500].any() and not y[500:].any()

def test_folding_is_told():
    with pytest.warns(AliasingWarning, match="8000 Hz"): fm2(*column(1661.0, 1661.0, 8.0), 100, SR)
    with pytest.warns(AliasingWarning): fm2(torch.tensor([100.0, 7000.0]), torch.tensor([10.0, 600.0]), torch.tensor([1.0, 1.0]), 100, SR)
    with pytest.warns(AliasingWarning): fm2(torch.tensor([1000.0]), torch.tensor([1000.0]), torch.linspace(0, 9, 100)[None], 100, SR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fm2(*column(1661.0, 1661.0, 2.5), 100, SR)
        fm2(*column(1661.0, 1661.0, 8.0), 100, SR, oversample=2)

@pytest.mark.parametrize("oversample, below_db", [(2, -45), (4, -75)])
def test_oversampling_removes_what_would_fold(oversample, below_db):
    tone = column(1661.0, 1661.0, 8.0)
    def intruders_db(y):
        power = torch.fft.rfft(y[0, 1000:1000 + SR]).abs().square()
        harmonic = power[::1661].sum()
        return 10 * math.log10((power.sum() - harmonic) / power.sum())
    assert intruders_db(quietly(*tone, 2 * SR, SR)) > -3
    assert intruders_db(fm2(*tone, 2 * SR, SR, oversample=oversample)) < below_db

def test_oversampling_agrees_with_scipy():
    tone, n = column(1000.0, 700.0, 3.0), 4000
    theirs = scipy.signal.resample_poly(fm2(*tone, 4 * n, 4 * SR)[0].numpy(), 1, 4, window=("kaiser", 14.0))
    ours = fm2(*tone, n, SR, oversample=4)[0].numpy()
    assert np.abs(ours - theirs)[200:-200].max() < 1e-3  # both are flat up to 5 kHz; not delayed

def test_oversampled_curves_are_the_same_sound():
    n, rising = 4000, torch.linspace(0, 3, 4000, dtype=torch.float64)[None]
    glide = torch.linspace(300, 600, 4000, dtype=torch.float64)[None]
    plain, over = (fm2(glide, *column(200.0), rising, n, SR, k)[0] for k in (1, 4))
    assert (plain - over)[100:-100].abs().max() < 5e-3


# The door -------------------------------------------------------------------------------------------------

f, i = torch.tensor([440.0, 550.0]), torch.tensor([1.0, 2.0])

@pytest.mark.parametrize("arguments, words", [
    ((torch.ones(1, 2, 3), f, i, 8, SR), r"f_car_hz: expected \(batch,\) or \(batch, 8\), got \(1, 2, 3\)"),
    ((torch.tensor(440.0), f, i, 8, SR), r"f_car_hz: expected \(batch,\) or \(batch, 8\), got \(\)"),
    ((f, f[:1], i, 8, SR), r"f_mod_hz: expected \(2,\) or \(2, 8\), got \(1,\)"),
    ((f, f, torch.ones(2, 9), 8, SR), r"index: expected \(2,\) or \(2, 8\), got \(2, 9\)"),
    ((f, f, torch.tensor([1.0, math.nan]), 8, SR), "index: 1 of 2 values are NaN or infinite, the first at index 1"),
    ((torch.tensor([math.inf, 1.0]), f, i, 8, SR), "f_car_hz: 1 of 2 values are NaN or infinite, the first at index 0"),
    ((torch.ones(0), f, i, 8, SR), "f_car_hz: expected at least one value, got none"),
    ((f, f, i, 0, SR), "n_samples: expected a whole number from 1 up, got 0"),
    ((f, f, i, 2.5, SR), "n_samples: expected a whole number from 1 up, got 2.5"),
    ((f, f, i, "8", SR), "n_samples: expected a whole number"),
    ((f, f, i, 8, 0), "sample_rate: expected values above 0, got 0"),
    ((f, f, i, 8, -SR), "sample_rate: expected values above 0, got -16000"),
    ((f, f, i, 8, math.nan), "sample_rate: 1 of 1 values are NaN"),
    ((f, f, i, 8, SR, 0), "oversample: expected a whole number from 1 up, got 0"),
])
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match="^" + words): fm2(*arguments)

@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.complex64), "440", None, ["a"]])
def test_what_is_no_number_is_named(value):
    with pytest.raises(TypeError, match="^f_car_hz: expected real numbers"): fm2(value, f, i, 8, SR)

def test_the_modules_door():
    with pytest.raises(ValueError, match="^sample_rate"): FM2Op(0)
    with pytest.raises(ValueError, match="^oversample"): FM2Op(SR, oversample=1.5)
    with pytest.raises(ValueError, match="^n_samples"): phase(f, SR)
    with pytest.raises(ValueError, match="^f_hz: expected \\(batch, 5\\)"): phase(torch.ones(2, 4), SR, 5)

@pytest.mark.parametrize("value, shape, positive", [
    (np.ones((2, 3)), "(samples,)", False), (np.ones(0), "(samples,)", False), ([1, np.nan, np.inf], "(samples,)", False),
    (0.0, "()", True), ([3.0, -1.0], "(samples,)", True), (np.ones(3), "()", False)])
def test_the_door_says_what_its_twin_says(value, shape, positive):
    with pytest.raises(ValueError) as numpy_says: page.expect("x", value, shape, positive)
    with pytest.raises(ValueError) as torch_says: expect_tensor("x", torch.as_tensor(value), shape, positive)
    assert str(torch_says.value) == str(numpy_says.value)

@pytest.mark.parametrize("size, shape, fits", [
    ((2, 6), "(batch, 6)", True), ((2, 5), "(batch, 6)", False), ((6,), "(batch, 6)", False),
    ((6,), "(…, 6)", True), ((4, 3, 6), "(…, 6)", True), ((), "(…, 6)", False), ((), "(…)", True), ((3, 2), "(…)", True),
    ((2,), "() or (batch,)", True), ((), "() or (batch,)", True), ((2, 2), "() or (batch,)", False)])
def test_shapes(size, shape, fits):
    if fits: assert expect_tensor("x", torch.ones(size), shape).shape == size
    else: pytest.raises(ValueError, expect_tensor, "x", torch.ones(size), shape)

def test_tensors_pass_untouched():
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    assert expect_tensor("x", x, "(batch,)") is x
    large = torch.full((4,), 3e38)  # its sum is infinite, it is not
    assert expect_tensor("x", large, "(batch,)") is large
    assert expect_tensor("x", [1, 2], "(batch,)").dtype == expect_tensor("x", 3, "()").dtype == torch.float32
    assert expect_tensor("x", torch.ones(2, device="meta"), "(batch,)").is_meta
    assert (expect_rate(44100), expect_count("n", 3.0), expect_count("n", np.int64(4))) == (44100.0, 3, 4)
