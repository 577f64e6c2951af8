"Oscillators: shapes and spectra against SciPy and closed forms, aliasing by librosa's A-weighting, gradients, bad input."
import math
import numpy as np
import pytest
import scipy.integrate
import torch
import torch.autograd.forward_ad as forward_ad
from hypothesis import given, settings, strategies as st
from scipy import signal
from ddsp_book import oscillators
from ddsp_book.oscillators import corner, jump, kernel, mix, pulse, saw, sine, step, triangle

librosa = pytest.importorskip("librosa")
f64 = torch.float64
quick = settings(max_examples=60, deadline=None)
WEIGHT_DB = librosa.A_weighting(np.arange(1, 24001), min_db=None)

def tensor(*values): return torch.tensor(values, dtype=f64)

def aliasing_db(y, f_hz):
    "Power outside the bins of the harmonics, below the power inside; one second at 48 kHz, A-weighted."
    assert math.gcd(f_hz, 48000) == 1 and len(y) == 48000  # no alias can fall onto a harmonic
    power = np.abs(np.fft.rfft(y.detach().double().numpy())[1:]) ** 2 * 10 ** (WEIGHT_DB / 10)
    inside = power[f_hz - 1::f_hz].copy()
    power[f_hz - 1::f_hz] = 0
    return 10 * np.log10(power.sum() / inside.sum() + 1e-30)

def grid(f_hz): return min((f for f in range(20, 24000) if math.gcd(f, 48000) == 1), key=lambda f: abs(f - f_hz))

# --- the promise: aliasing of the default saw, and of its gradients, up to C7 at 48 kHz ------------------------

NOTES = sorted({grid(440 * 2 ** ((midi - 69) / 12)) for midi in range(21, 97)})

@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_saw_is_clean_at_every_note_up_to_c7(dtype):
    assert NOTES[-1] == 2093
    for f in NOTES[::1 if dtype is f64 else 6] + [2093]: assert aliasing_db(saw(torch.tensor([f], dtype=dtype), 48000, 48000)[0], f) < -75

@pytest.mark.parametrize("f", NOTES[::10] + [2093])
def test_gradient_to_the_width_is_clean(f):
    width = torch.full((1, 48000), 0.3, requires_grad=True)  # one value per sample: the gradient of the sum is the slope at each
    slope, = torch.autograd.grad(pulse(torch.tensor([float(f)]), 48000, 48000, width).sum(), width)
    assert aliasing_db(slope[0], f) < -60

@pytest.mark.parametrize("f", NOTES[::10] + [2093])
def test_gradient_to_the_frequency_is_clean(f):
    "A nudge of the first sample's frequency shifts the phase of all that follows: what is left is the slope of the wave."
    f_hz = torch.full((1, 48001), float(f), dtype=f64)
    nudge = torch.zeros_like(f_hz)
    nudge[0, 0] = 48000
    with forward_ad.dual_level():
        y = saw(forward_ad.make_dual(f_hz, nudge), 48000)
        slope = forward_ad.unpack_dual(y).tangent[0, 1:]
    assert aliasing_db(slope, f) < -60

@pytest.mark.parametrize("shape, bound", [(triangle, -110), (lambda *a: pulse(*a, width=0.1), -75), (lambda *a: pulse(*a, width=0.77), -75)])
def test_the_other_shapes_are_clean(shape, bound):
    for f in (131, 1049, 2093): assert aliasing_db(shape(tensor(f), 48000, 48000)[0], f) < bound

def test_the_sum_of_harmonics_has_no_aliases():
    for shape in (saw, pulse, triangle):
        assert aliasing_db(shape(tensor(2093), 48000, 48000, method="additive")[0], 2093) < -180

def test_the_measure_sees_the_aliases_of_a_naive_saw():
    for f, known in (2093, -16.5), (131, -21.3):
        y = torch.from_numpy(signal.sawtooth(2 * np.pi * (np.arange(48000) * f % 48000) / 48000))
        assert aliasing_db(y, f) == pytest.approx(known, abs=0.1)

# --- shapes and spectra -------------------------------------------------------------------------------------------

def naive(shape, cycles, width=0.5):
    turns = 2 * np.pi * cycles
    return {"saw": lambda: signal.sawtooth(turns), "triangle": lambda: signal.sawtooth(turns, 0.5),
            "sine": lambda: np.sin(turns), "pulse": lambda: signal.square(turns, width) - (2 * width - 1)}[shape]()

@pytest.mark.parametrize("shape, width", [("saw", 0), ("triangle", 0), ("sine", 0), ("pulse", 0.5), ("pulse", 0.15), ("pulse", 0.93)])
def test_away_from_jumps_it_is_scipy(shape, width):
    f, rate, n = 37.3, 48000, 12000
    kwargs = dict(width=width) if shape == "pulse" else {}
    y = getattr(oscillators, shape)(tensor(f), rate, n, **kwargs)[0].numpy()
    cycles = np.arange(n) * f / rate
    far = np.ones(n, bool)
    for at in {"saw": [0], "triangle": [0, 0.5], "pulse": [0, width], "sine": []}[shape]:
        off = (cycles - at) - np.round(cycles - at)
        far &= np.abs(off) > 8 * f / rate
    assert far.mean() > 0.9
    assert np.abs(y - naive(shape, cycles, width))[far].max() < 1e-9

def response(f): return sum((2 if m else 1) * 0.5 * c * (np.sinc(16 * f - m) + np.sinc(16 * f + m)) for m, c in enumerate(oscillators.RESPONSE))

@pytest.mark.parametrize("rate, f", [(48000, 131), (48000, 2093), (16000, 1171), (16000, 3001), (16000, 7001)])
def test_spectrum_is_that_of_the_blurred_wave(rate, f):
    "One second: bin k f holds harmonic k, with its Fourier coefficient times the response; overlapping kernels included."
    k = np.arange(1, (rate // 2) // f + 1)
    def lines(y): return np.fft.rfft(y[0].numpy())[f * k] / rate
    H, w = response(k * f / rate), 0.23
    folded = 4e-4  # a line may lie upon an alias, which is that small
    def near(got, wanted): assert np.abs(got - wanted).max() < folded
    near(lines(saw(tensor(f), rate, rate)), 1j / np.pi / k * H)
    near(lines(pulse(tensor(f), rate, rate, w)), 1j / np.pi / k * H * (np.exp(-2j * np.pi * k * w) - 1))
    near(lines(triangle(tensor(f), rate, rate)), -4 / (np.pi * k) ** 2 * (k % 2) * H)

@pytest.mark.parametrize("f", [131.0, 1171.0, 4003.0])
def test_additive_is_the_fourier_series(f):
    rate, n, w = 16000, 500, 0.31
    k, cycles = np.arange(1, math.ceil(rate / 2 / f))[:, None], np.arange(n) * f / rate
    ramp = lambda c: (-2 / np.pi / k * np.sin(2 * np.pi * k * c)).sum(0)
    odd = k[k[:, 0] % 2 == 1]
    for y, series in ((saw, ramp(cycles)), (pulse, ramp(cycles - w) - ramp(cycles)),
                      (triangle, (-8 / (np.pi * odd) ** 2 * np.cos(2 * np.pi * odd * cycles)).sum(0))):
        kwargs = dict(width=w) if y is pulse else {}
        assert np.abs(y(tensor(f), rate, n, method="additive", **kwargs)[0].numpy() - series).max() < 1e-9

def test_methods_agree_where_nothing_is_held_back():
    y, exact = (saw(tensor(440), 48000, 48000, method=m)[0].numpy() for m in ("blep", "additive"))
    low = signal.firwin(501, 12000, fs=48000)
    assert np.abs(signal.fftconvolve(y - exact, low, "valid")).max() < 2e-3

def test_roll_off_is_as_stated():
    for f, db, within in ((0.25, 0, 0.1), (16600 / 48000, -1, 0.1), (19150 / 48000, -6, 0.1)):
        assert 20 * np.log10(response(f)) == pytest.approx(db, abs=within)
    assert max(20 * np.log10(abs(response(f)) + 1e-9) for f in np.linspace(0.5, 4, 4000)) < -44

def test_kernel_step_and_corner_are_each_other_s_integrals():
    x = np.linspace(-8, 8, 2001)
    h, s, r = (f(torch.from_numpy(x)).numpy() for f in (kernel, step, corner))
    assert scipy.integrate.simpson(h, x=x) == pytest.approx(1, abs=1e-9) and abs(h[[0, -1]]).max() < 1e-12
    assert np.abs(scipy.integrate.cumulative_simpson(h, x=x, initial=0) - 0.5 - s).max() < 1e-9
    assert np.abs(np.gradient(r, x)[1010:-1] - (s - 0.5)[1010:-1]).max() < 1e-4
    assert abs(r[[0, -1]]).max() < 1e-12
    assert torch.equal(jump(tensor(-1e-9, 1e-9)).round(decimals=6), tensor(0.5, -0.5))

def test_zero_mean():
    for y in (saw(tensor(100), 16000, 16000), triangle(tensor(100), 16000, 16000), *(pulse(tensor(100), 16000, 16000, w) for w in (0.01, 0.37, 0.99))):
        assert abs(float(y.mean())) < 1e-9

# --- frequency -----------------------------------------------------------------------------------------------------

def test_steady_and_moving_agree():
    f = tensor(110, 997, 6000)
    kwargs = dict(saw=0.3, pulse=0.4, triangle=0.5, sine=0.2, width=0.3)
    assert torch.allclose(mix(f, 16000, 3000, **kwargs), mix(f[:, None].expand(3, 3000), 16000, **kwargs), atol=1e-9)

def test_in_tune_after_a_minute():
    "float32 in, a minute at 48 kHz: the last samples are where whole-number arithmetic says."
    n, f = 60 * 48000, 3521
    y = saw(torch.tensor([float(f)]), 48000, n)[0, -48000:]  # a whole number of cycles before, so it starts over
    assert (59 * 48000 * f) % 48000 == 0
    assert (y - saw(tensor(f), 48000, 48000)[0]).abs().max() < 1e-5
    moving = saw(torch.full((1, n), float(f)), 48000)[0, -48000:]
    assert (y - moving).abs().max() < 1e-5

def test_float32_is_as_good_as_float64():
    f, n = torch.tensor([27.5, 441.7, 3000.3, 7900.0]), 16000
    kwargs = dict(saw=0.3, pulse=0.4, triangle=0.5, sine=0.2, width=0.3)
    ours, exact = mix(f, 16000, n, **kwargs), mix(f.double(), 16000, n, **kwargs)
    assert ours.dtype == torch.float32 and (ours - exact).abs().max() < 3e-6

def test_jumps_lie_between_the_samples():
    "A low note: rounded to float32, its phase would move the jump by a visible part of a sample."
    f, rate = 20.7, 48000
    y = saw(torch.tensor([f]), rate, 20 * rate)[0]
    exact = saw(torch.tensor([f], dtype=torch.float32).double(), rate, 20 * rate)[0]
    assert (y - exact).abs().max() < 3e-6

@pytest.mark.parametrize("method", ["blep", "additive"])
def test_silent_from_nyquist_on(method):
    f = torch.tensor([7999.0, 8000.0, 20000.0])
    for shape in (saw, pulse, triangle): 
        y = shape(f, 16000, 400, method=method)
        assert (y[1:] == 0).all() and (shape is not saw or y[0].abs().max() > 0)
    assert (sine(f, 16000, 400)[1:] == 0).all()
    moving = torch.linspace(7000, 9000, 400)[None].requires_grad_()
    y = saw(moving, 16000, method=method)
    assert (y[0, 200:] == 0).all() and y[0, :190].abs().max() > 0
    assert torch.autograd.grad(y.sum(), moving)[0].isfinite().all()

@quick
@given(st.lists(st.floats(1e-3, 40000), min_size=1, max_size=4), st.floats(1e-6, 1 - 1e-6), st.sampled_from([8000, 16000, 48000]), st.booleans())
def test_finite_and_bounded(pitches, width, rate, moving):
    f_hz = torch.tensor(pitches)
    f_hz = (f_hz[:, None] * torch.linspace(1, 1.9, 300) if moving else f_hz).requires_grad_()
    w = torch.full((len(pitches),), width).clamp(1e-6, 1 - 1e-6).requires_grad_()
    y = mix(f_hz, rate, None if moving else 300, saw=0.25, pulse=0.25, triangle=0.25, sine=0.25, width=w)
    assert y.shape == (len(pitches), 300) and y.isfinite().all() and y.abs().max() < 1.6
    for grad in torch.autograd.grad(y.square().sum(), [f_hz, w]): assert grad.isfinite().all()

# --- gradients -------------------------------------------------------------------------------------------------------

def drawn(low, high, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (low + (high - low) * torch.rand(shape, generator=generator, dtype=f64)).requires_grad_()

def sound(f_hz, width, saw, pulse, triangle, sine, method="blep"):
    return mix(f_hz, 8000, 14 if f_hz.ndim == 1 else None, saw=saw, pulse=pulse, triangle=triangle, sine=sine, width=width, method=method)

@pytest.mark.parametrize("method", ["blep", "additive"])
@pytest.mark.parametrize("shape", [(2,), (1, 14)])
def test_gradcheck(shape, method):
    controls = [drawn(150, 1900, *shape), drawn(0.1, 0.9, *shape, seed=1), *(drawn(0, 1, *shape, seed=s) for s in range(2, 6))]
    assert torch.autograd.gradcheck(lambda *c: sound(*c, method=method), controls, eps=1e-6, atol=1e-5, check_forward_ad=method == "blep")

def test_gradient_is_the_finite_difference_of_the_sound():
    "Over a tenth of a second, frequency, width and level: central differences of what is rendered."
    base = dict(f_hz=tensor(441.3), width=tensor(0.27), saw=tensor(0.6), pulse=tensor(0.5), triangle=tensor(0.4), sine=tensor(0.3))
    weights = drawn(-1, 1, 1, 1600, seed=9).detach()
    def score(**controls):
        f_hz = controls.pop("f_hz")
        return (mix(f_hz, 16000, 1600, **controls) * weights).sum()
    for name, value in base.items():
        leaf = value.clone().requires_grad_()
        grad, = torch.autograd.grad(score(**{**base, name: leaf}), leaf)
        e = 1e-6 * float(value)
        difference = (score(**{**base, name: value + e}) - score(**{**base, name: value - e})) / (2 * e)
        assert float(grad) == pytest.approx(float(difference), rel=1e-5)

def test_gradients_agree_with_those_of_the_sum_of_harmonics():
    "Of a loss that hears up to 12 kHz."
    low = torch.from_numpy(signal.firwin(201, 12000, fs=48000))[None, None]
    grads = []
    for method in ("blep", "additive"):
        f_hz, width, level = tensor(441.3).requires_grad_(), tensor(0.27).requires_grad_(), tensor(0.5).requires_grad_()
        y = mix(f_hz, 48000, 4800, saw=1 - level, pulse=level, width=width, method=method)
        target = mix(tensor(440.0), 48000, 4800, saw=0.2, pulse=0.7, width=0.4, method="additive")
        loss = torch.nn.functional.conv1d((y - target)[None], low).square().mean()
        grads.append(torch.stack(torch.autograd.grad(loss, [f_hz, width, level])).flatten())
    assert (grads[0] / grads[1] - 1).abs().max() < 2e-3

def test_width_is_found_from_afar():
    width = torch.tensor([0.05, 0.5, 0.65]).requires_grad_()
    f_hz = torch.full((3,), 220.0)
    target = pulse(f_hz, 16000, 800, 0.2)
    optimizer = torch.optim.Adam([width], 0.02)
    for at in range(120):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - at / 120)
        optimizer.zero_grad()
        (pulse(f_hz, 16000, 800, width) - target).square().mean(-1).sum().backward()
        optimizer.step()
    assert (width - 0.2).abs().max() < 0.005

def test_autograd_keeps_little():
    "The work, and what is kept, goes with the number of edges: 55 Hz at 48 kHz."
    kept = []
    f_hz = torch.full((4,), 55.0, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel() * x.element_size()) or x, lambda x: x):
        y = saw(f_hz, 48000, 48000)
    assert sum(kept) < 0.2 * y.numel() * y.element_size()

# --- shapes and bad input ------------------------------------------------------------------------------------------------

def test_shapes_and_dtypes():
    f = torch.tensor([100.0, 200.0])
    assert saw(f, 8000, 50).shape == (2, 50) and saw(f.double(), 8000, 50).dtype == f64
    assert mix(f, 8000, 50).abs().max() == 0 and mix(f, 8000, 50).shape == (2, 50)
    assert saw(torch.full((2, 50), 100.0), 8000).shape == (2, 50)
    level = torch.tensor([0.0, 1.0])
    assert torch.allclose(mix(f, 8000, 50, saw=level)[1], saw(f, 8000, 50)[1])
    assert torch.allclose(mix(f, 8000, 50, saw=level[:, None].expand(2, 50)), mix(f, 8000, 50, saw=level))

def test_a_row_does_not_hear_the_others():
    f = torch.tensor([100.0, 3900.0, 950.0, 1.0])
    kwargs = dict(saw=1.0, pulse=0.5, triangle=0.3, width=0.2)
    together = mix(f, 8000, 200, **kwargs)
    for i in range(4): assert torch.allclose(together[i], mix(f[i:i + 1], 8000, 200, **kwargs)[0], atol=1e-6)

GOOD = dict(f_hz=torch.tensor([100.0]), sample_rate=8000, n_samples=50, saw=0.5, pulse=0.5, width=0.5)

@pytest.mark.parametrize("name, value", [
    ("f_hz", torch.tensor([0.0])), ("f_hz", torch.tensor([-5.0])), ("f_hz", torch.tensor([math.nan])), ("f_hz", torch.ones(1, 1, 50)),
    ("f_hz", torch.tensor([])), ("f_hz", "loud"), ("sample_rate", 0), ("sample_rate", math.nan), ("n_samples", None), ("n_samples", 0), ("n_samples", 2.5),
    ("width", 0.0), ("width", 1.0), ("width", -0.1), ("width", math.nan), ("width", torch.tensor([0.2, 0.3])), ("saw", torch.ones(1, 49)),
    ("saw", math.inf), ("pulse", torch.tensor([math.nan])), ("method", "magic"),
])
def test_bad_input_names_the_argument(name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name}"): mix(**{**GOOD, name: value})
