"Filters: scipy's and torchaudio's, exact gradients, blocks, moving knobs, and never a NaN."
import math
import numba
import numpy as np
import pytest
import scipy.signal
import torch
import torchaudio.functional as AF
from hypothesis import example, given, settings, strategies as st
from ddsp_book.filters import bandpass, biquad, high_shelf, highpass, low_shelf, lowpass, notch, peak, response, svf

FS = 16000
@pytest.fixture(autouse=True, scope="module")
def one_thread():
    "Thousands of tiny calls: threads would only wait for each other."
    torches, before = torch.get_num_threads(), numba.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(torches)  # numba's first word sets it to its own
    yield
    numba.set_num_threads(before)

f64 = torch.float64
PLAIN = {f.__name__: f for f in (lowpass, highpass, bandpass, notch)}
RAISED = {f.__name__: f for f in (peak, low_shelf, high_shelf)}
quick = settings(max_examples=60, deadline=None)

def noise(*shape, seed=0, dtype=f64): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
def leaf(value): return torch.as_tensor(value, dtype=f64).clone().requires_grad_()
def design(name, cutoff_hz, q, gain_db=6.0, fs=FS):
    return PLAIN[name](cutoff_hz, q, fs) if name in PLAIN else RAISED[name](cutoff_hz, q, gain_db, fs)

def loop(x, b, a):
    "Direct form I to the letter, coefficients (samples, 3), NumPy float64."
    y = np.zeros(len(x))
    for n in range(len(x)):
        for i in range(3):
            if n >= i: y[n] += b[n, i] * x[n - i] - (a[n, i] * y[n - i] if i else 0)
    return y

def ring(x, k, r):
    "Low, band and high of two integrators in a ring, implicit equations solved by numpy."
    s, out = np.zeros(2), []
    for n in range(len(x)):
        v = np.linalg.solve([[1 + k[n] * r[n], k[n]], [-k[n], 1]], s + [k[n] * x[n], 0])
        s = 2 * v - s
        out.append((v[1], r[n] * v[0], x[n] - r[n] * v[0] - v[1]))
    return np.array(out).T

# --- against others ------------------------------------------------------------------------------------

THEIRS = {
    "lowpass": lambda x, f, q, g: AF.lowpass_biquad(x, FS, f, q), "highpass": lambda x, f, q, g: AF.highpass_biquad(x, FS, f, q),
    "bandpass": lambda x, f, q, g: AF.bandpass_biquad(x, FS, f, q), "notch": lambda x, f, q, g: AF.bandreject_biquad(x, FS, f, q),
    "peak": lambda x, f, q, g: AF.equalizer_biquad(x, FS, f, g, q), "low_shelf": lambda x, f, q, g: AF.bass_biquad(x, FS, g, f, q),
    "high_shelf": lambda x, f, q, g: AF.treble_biquad(x, FS, g, f, q),
}

@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("f, q, g", [(30.0, 0.3, -15.0), (1000.0, 0.7071, 6.0), (7000.0, 20.0, 12.0)])
def test_seven_filters_against_torchaudio(name, f, q, g):
    x = 1e-4 * noise(2, 2000)  # torchaudio clips at 1
    y = biquad(x, *design(name, f, q, g))
    assert (y - THEIRS[name](x, f, q, g)).abs().max() < 1e-9 * y.abs().max()

@pytest.mark.parametrize("name", THEIRS)
def test_steady_against_scipy(name):
    x = noise(3, 4000)
    b, a = design(name, torch.tensor([40.0, 900.0, 7500.0], dtype=f64), torch.tensor([0.4, 3.0, 40.0], dtype=f64))
    theirs = np.stack([scipy.signal.lfilter(*each) for each in zip(b, a, x)])
    assert np.allclose(biquad(x, b, a), theirs, rtol=1e-9, atol=1e-9)
    f_hz = torch.linspace(5, 7990, 50, dtype=f64)
    H = np.stack([scipy.signal.freqz(*each, worN=f_hz, fs=FS)[1] for each in zip(b.numpy(), a.numpy())])
    assert np.allclose(response(b, a, f_hz, FS), H, rtol=1e-8, atol=1e-10)

@pytest.mark.parametrize("n", [1, 2, 3, 500])
def test_moving_against_the_loop(n):
    x = noise(2, n)
    b, a = lowpass(500 + 5000 * torch.rand(2, n, dtype=f64), 0.5 + 2 * torch.rand(2, n, dtype=f64), FS)
    assert np.allclose(biquad(x, b, a), [loop(*each) for each in zip(x.numpy(), b.numpy(), a.numpy())], atol=1e-10)
    k, q = torch.rand(2, n, dtype=f64), 0.3 + 5 * torch.rand(2, n, dtype=f64)
    parts = svf(x, torch.atan(k) * FS / math.pi, q, FS)
    for row in range(2):
        assert np.allclose([p[row] for p in parts], ring(x[row].numpy(), k[row].numpy(), 1 / q[row].numpy()), atol=1e-10)

def test_sections_against_sosfilt():
    sos, x = scipy.signal.ellip(6, 0.5, 60, 2000, fs=FS, output="sos"), noise(2, 1000)
    y = x
    for section in torch.tensor(sos): y = biquad(y, section[:3], section[3:])
    assert np.allclose(y, scipy.signal.sosfilt(sos, x), atol=1e-12)

@given(st.floats(20, 7200), st.floats(0.3, 50))
@quick
def test_at_rest_both_structures_agree_and_parts_add_up(f, q):
    x = noise(1, 600)
    parts = svf(x, f, q, FS)
    for part, name in zip(parts, ("lowpass", "bandpass", "highpass")):
        assert torch.allclose(part, biquad(x, *design(name, f, q)), rtol=1e-6, atol=1e-8)
    assert torch.allclose(sum(parts), x, atol=1e-12)

def test_gains_where_they_are_known():
    at = torch.tensor([1e-3, 1000.0, 7999.999], dtype=f64)
    def gains(b, a): return response(b, a, at, FS).abs().tolist()
    assert gains(*lowpass(1000.0, 4.0, FS)) == pytest.approx([1, 4, 0], abs=1e-6)
    assert gains(*highpass(1000.0, 4.0, FS)) == pytest.approx([0, 4, 1], abs=1e-6)
    assert gains(*bandpass(1000.0, 4.0, FS)) == pytest.approx([0, 1, 0], abs=1e-5)
    assert gains(*notch(1000.0, 4.0, FS)) == pytest.approx([1, 0, 1], abs=1e-6)
    assert gains(*peak(1000.0, 4.0, 20.0, FS)) == pytest.approx([1, 10, 1], abs=1e-6)
    half = 10 ** 0.5
    assert gains(*low_shelf(1000.0, 0.7071, 20.0, FS)) == pytest.approx([10, half, 1], abs=1e-5)
    assert gains(*high_shelf(1000.0, 0.7071, 20.0, FS)) == pytest.approx([1, half, 10], abs=1e-5)

# --- gradients -----------------------------------------------------------------------------------------

SHAPES = {"numbers": ((), ()), "per note": ((2,), (2,)), "moving cutoff": ((2, 9), (2,)), "all moving": ((2, 9), (2, 9)), "column": ((2, 9), (2, 1))}

def knobs(shapes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    f, q = (torch.rand(shape, generator=generator, dtype=f64) for shape in shapes)
    return leaf(600 + 5000 * f), leaf(0.5 + 4 * q)

@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", THEIRS)
def test_gradcheck_biquad(name, shapes):
    inputs = [leaf(noise(2, 9)), *knobs(SHAPES[shapes]), leaf(noise(2, 4)), leaf([4.0, -7.0])]
    def run(x, f, q, state, g): return biquad(x, *design(name, f, q, g if name in RAISED else None), state)
    if name in PLAIN: assert torch.autograd.gradcheck(lambda *v: run(*v, None), inputs[:4])
    else: assert torch.autograd.gradcheck(run, inputs)

@pytest.mark.parametrize("shapes", SHAPES)
def test_gradcheck_svf(shapes):
    inputs = [leaf(noise(2, 9)), *knobs(SHAPES[shapes]), leaf(noise(2, 2))]
    assert torch.autograd.gradcheck(lambda x, f, q, s: svf(x, f, q, FS, s), inputs)

def test_gradcheck_of_a_mix():
    "How much of low, band and high, one row of each; and only the mix is used."
    inputs = [leaf(noise(3, 9)), *knobs(((3, 9), (3,))), leaf(noise(3, 2)), leaf(noise(3, 3))]
    def run(x, f, q, s, mix): return svf(x, f, q, FS, s, mix)
    assert torch.autograd.gradcheck(run, inputs)
    x, f, q, state, mix = inputs
    together = sum(share[:, None] * part for share, part in zip(mix.unbind(1), svf(x, f, q, FS)))
    assert torch.allclose(svf(x, f, q, FS, mix=mix), together, atol=1e-12)

def test_threads_change_nothing():
    inputs, before, results = [leaf(noise(5, 4000)), *knobs(((1, 4000), (5,)))], torch.get_num_threads(), []
    try:
        for threads in (1, 2, 8):
            torch.set_num_threads(threads)
            parts = svf(*inputs, FS)
            results.append([*parts, *torch.autograd.grad(parts[0].square().sum(), inputs)])
    finally: torch.set_num_threads(before)
    for other in results[1:]: assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(results[0], other))

def test_float32_keeps_float64_inside():
    "In and out in float32, states in float64: off by no more than the digits of what goes in."
    x, (f, q) = noise(2, 20000), knobs(((2, 20000), (2,)))
    exact = svf(x.float().double(), f.float().double(), q.float().double(), FS)
    for single, double in zip(svf(x.float(), f.float(), q.float(), FS), exact):
        assert single.dtype == torch.float32 and (single - double).abs().max() < 2e-6 * double.abs().max()

def test_gradients_have_gradients():
    inputs = [leaf(noise(1, 4)), *knobs(((1, 4), (1,)))]
    assert torch.autograd.gradgradcheck(lambda x, f, q: biquad(x, *lowpass(f, q, FS)), inputs, fast_mode=True)

def test_gradients_are_those_of_the_loop_over_a_second():
    "Autograd through every sample, against one sweep back."
    n = 1600
    f, q = leaf(300 + 3000 * torch.rand(1, n, dtype=f64)), leaf([[2.0]])
    x, heard = leaf(noise(1, n)), noise(1, n, seed=5)
    b, a = lowpass(f, q, FS)
    y = [torch.zeros(1, dtype=f64)] * 2
    padded = torch.nn.functional.pad(x, (2, 0))
    for i in range(n):
        y.append((b[:, i] * padded[:, i:i + 3].flip(1)).sum(1) - a[:, i, 1] * y[-1] - a[:, i, 2] * y[-2])
    slow = torch.autograd.grad(torch.stack(y[2:], 1), (x, f, q), heard)
    fast = torch.autograd.grad(biquad(x, *lowpass(f, q, FS)), (x, f, q), heard)
    for ours, theirs in zip(fast, slow): assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10)

@pytest.mark.parametrize("fs", [16000, 48000])
def test_float32_at_low_cutoffs(fs):
    "The ring keeps its digits at 20 Hz; the biquad needs a cutoff in float64, and then answers in float32."
    x = noise(2, 9600)
    def run(filter_, dtype, cutoff_dtype):
        f = torch.tensor([20.0, 25.0], dtype=cutoff_dtype, requires_grad=True)
        y = filter_(x.to(dtype), f)
        return y.detach(), torch.autograd.grad(y.double().square().sum(), f)[0]
    def ring(x, f): return svf(x, f, 2.0, fs)[0]
    def direct(x, f): return biquad(x, *lowpass(f, 2.0, fs))
    exact, slope = run(direct, f64, f64)
    for filter_, kind in ((ring, torch.float32), (direct, f64)):
        y, d = run(filter_, torch.float32, kind)
        assert y.dtype == torch.float32 and (y - exact).abs().max() < 1e-5 * exact.abs().max()
        assert ((d - slope) / slope).abs().max() < 1e-4

# --- blocks ----------------------------------------------------------------------------------------------

@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.booleans(), st.sampled_from([torch.float32, f64]))
@settings(max_examples=30, deadline=None)
def test_blocks_are_one_long_call(lengths, moving, dtype):
    n = sum(lengths)
    x = noise(2, n, dtype=dtype)
    f = torch.linspace(200, 4000, n, dtype=dtype).expand(2, n) if moving else torch.tensor([200.0, 4000.0], dtype=dtype)
    def at(first, last): return f[:, first:last] if moving else f
    whole, ring_whole = biquad(x, *lowpass(f, 5.0, FS)), svf(x, f, 5.0, FS)
    state, ring_state, first = torch.zeros(2, 4, dtype=dtype), torch.zeros(2, 2, dtype=dtype), 0
    for length in lengths:
        part = slice(first, first + length)
        y, state = biquad(x[:, part], *lowpass(at(first, first + length), 5.0, FS), state)
        *parts, ring_state = svf(x[:, part], at(first, first + length), 5.0, FS, ring_state)
        assert torch.allclose(y, whole[:, part], atol=1e-6 * float(whole.abs().max() + 1))
        for ours, theirs in zip(parts, ring_whole): assert torch.allclose(ours, theirs[:, part], atol=1e-6 * float(theirs.abs().max() + 1))
        first += length

# --- never a NaN -----------------------------------------------------------------------------------------

cutoffs, resonances = st.floats(20, 0.45 * FS), st.floats(0.3, 50)

@settings(max_examples=40, deadline=None)
@given(st.lists(cutoffs, min_size=1, max_size=8), st.lists(resonances, min_size=1, max_size=8), st.integers(1, 400), st.integers(0, 99))
@example([20.0, 7200.0], [50.0], 1, 0)
@example([20.0, 7200.0], [0.3], 3, 0)
@example([900.0, 1100.0], [50.0], 4, 0)  # pumped at twice its frequency
def test_the_ring_stays_calm(some_hz, some_q, every, seed):
    "Any leaps, as often as one likes: within what its input could do if it only added up; gradients finite."
    step = torch.arange(FS) // every
    f = torch.tensor(some_hz)[step % len(some_hz)].expand(2, -1).clone().requires_grad_()
    q = torch.tensor(some_q)[step % len(some_q)].expand(2, -1).clone().requires_grad_()
    parts = svf(noise(2, FS, seed=seed, dtype=torch.float32).clamp(-1, 1), f, q, FS)
    for part in parts: assert part.isfinite().all() and part.abs().max() < 1000
    for grad in torch.autograd.grad(sum(part.square().sum() for part in parts), (f, q)): assert grad.isfinite().all()

@settings(max_examples=40, deadline=None)
@given(st.lists(cutoffs, min_size=1, max_size=8), st.lists(resonances, min_size=1, max_size=8), st.integers(1, 4000))
@example([20.0, 7200.0], [50.0], 1)
def test_a_biquad_is_finite_or_says_so(some_hz, some_q, every):
    step = torch.arange(FS) // every
    f, q = (torch.tensor(some)[step % len(some)].expand(2, -1) for some in (some_hz, some_q))
    try: y = biquad(noise(2, FS, dtype=torch.float32), *lowpass(f, q, FS))
    except ValueError as error: assert "svf" in str(error) or "unstable" in str(error)
    else: assert y.isfinite().all()

@pytest.mark.parametrize("name", THEIRS)
def test_a_minute_at_the_extremes(name):
    f, q = torch.tensor([20.0, 20.0, 7200.0, 7200.0]), torch.tensor([0.3, 50.0, 0.3, 50.0])
    x = noise(4, 60 * FS, dtype=torch.float32)
    assert biquad(x, *design(name, f, q, 24.0)).isfinite().all()

def test_a_minute_of_sweeps():
    f = 20 * 360 ** (0.5 - 0.5 * torch.cos(torch.arange(60 * FS) / FS * 2 * math.pi * torch.tensor([[0.1], [5.0]])))
    x = noise(2, 60 * FS, dtype=torch.float32)
    for part in svf(x, f, 50.0, FS): assert part.isfinite().all() and part.abs().max() < 500
    assert biquad(x, *lowpass(f, 0.7071, FS)).isfinite().all()

def test_energy_never_rises():
    "With nothing coming in, the states only lose, whatever the knobs do."
    state, f = torch.tensor([[3.0, -2.0]], dtype=f64), 20 * 360 ** torch.rand(1, 500, dtype=f64)
    for n in range(500):
        *_, after = svf(torch.zeros(1, 1, dtype=f64), f[:, n:n + 1], 50.0, FS, state)
        assert after.square().sum() <= state.square().sum() * (1 + 1e-12)
        state = after

# --- shapes and bad input --------------------------------------------------------------------------------

def test_shapes_and_dtypes():
    b, a = lowpass(torch.rand(3, 7) + 900, torch.ones(3), FS)
    assert b.shape == a.shape == (3, 7, 3) and b.dtype == torch.float32 and (a[..., 0] == 1).all()
    assert lowpass(900.0, 1.0, FS)[0].shape == (3,) and lowpass(torch.ones(5), 1.0, FS)[1].shape == (5, 3)
    assert lowpass(torch.rand(3, 7) + 900, torch.ones(3, 1), FS)[0].shape == (3, 7, 3)
    x = noise(3, 7, dtype=torch.float32)
    assert biquad(x, b, a).shape == (3, 7) and biquad(x, b, a).dtype == torch.float32
    assert biquad(x, *lowpass(900.0, 1.0, FS)).dtype == torch.float32  # numbers are float64 inside
    assert biquad(x.half(), b, a).dtype == torch.float16
    assert biquad(x, b[:, :1], a).shape == (3, 7)
    low, band, high, state = svf(x, 900.0, 1.0, FS, torch.zeros(3, 2))
    assert low.shape == (3, 7) and state.shape == (3, 2) and high.dtype == torch.float32
    assert biquad(x, b, a).is_contiguous()

def test_compiles():
    def render(x, f): return biquad(x, *lowpass(f, 2.0, FS)) + svf(x, f, 2.0, FS)[1]
    x, f = noise(2, 50), leaf([500.0, 900.0])
    compiled = torch.compile(render, backend="aot_eager")
    assert torch.allclose(compiled(x, f), render(x, f))
    assert torch.allclose(*(torch.autograd.grad(run(x, f).square().sum(), f)[0] for run in (compiled, render)))

NAN = float("nan")
@pytest.mark.parametrize("name, change", [
    ("cutoff_hz", dict(cutoff_hz=0.0)), ("cutoff_hz", dict(cutoff_hz=-5.0)), ("cutoff_hz", dict(cutoff_hz=8000.0)), ("cutoff_hz", dict(cutoff_hz=NAN)),
    ("cutoff_hz", dict(cutoff_hz=torch.tensor([[100.0, 9000.0]]))), ("cutoff_hz", dict(cutoff_hz=torch.ones(1, 2, 3))),
    ("q", dict(q=0.0)), ("q", dict(q=-1.0)), ("q", dict(q=NAN)), ("q", dict(q=math.inf)), ("q", dict(q=torch.tensor([1.0, 0.0]))),
    ("sample_rate", dict(sample_rate=0)), ("gain_db", dict(gain_db=NAN)),
])
def test_bad_knobs_are_named(name, change):
    given_ = {**dict(cutoff_hz=900.0, q=1.0, sample_rate=FS), **change}
    shelf = {**dict(gain_db=3.0), **given_}
    with pytest.raises((ValueError, TypeError), match=f"^{name}"): low_shelf(**shelf)
    if name != "gain_db":
        with pytest.raises((ValueError, TypeError), match=f"^{name}"): lowpass(**given_)
        with pytest.raises((ValueError, TypeError), match=f"^{name}"): svf(torch.zeros(2, 2), **given_)

GOOD = dict(x=torch.zeros(2, 9), b=torch.tensor([1.0, 0, 0]), a=torch.tensor([1.0, -0.5, 0.2]))
@pytest.mark.parametrize("name, change", [
    ("x", dict(x=torch.zeros(9))), ("x", dict(x=torch.full((2, 9), NAN))), ("x", dict(x=torch.zeros(2, 0))),
    ("a", dict(a=torch.tensor([1.0, -2.0, 1.0]))), ("a", dict(a=torch.tensor([1.0, 0.0, -1.1]))), ("a", dict(a=torch.tensor([1.0, 0.0, 1.0]))),
    ("a", dict(a=torch.tensor([1.0, NAN, 0.0]))), ("a", dict(a=torch.tensor([2.0, 0.0, 0.0]))), ("a", dict(a=torch.ones(2, 9, 2))),
    ("a", dict(a=torch.tensor([1.0, 0, 0]).expand(2, 8, 3))), ("b", dict(b=torch.ones(4, 3))), ("b", dict(b=1.0)),
    ("y", dict(x=torch.ones(2, 9), b=torch.tensor([1.0, NAN, 0.0]))), ("state", dict(state=torch.zeros(2, 3))), ("state", dict(state=torch.full((2, 4), NAN))),
])
def test_bad_coefficients_are_named(name, change):
    with pytest.raises((ValueError, TypeError), match=f"^{name}"): biquad(**{**GOOD, **change})

def test_bad_shapes_of_the_ring():
    for name, change in (("cutoff_hz", dict(cutoff_hz=torch.full((3,), 900.0))), ("q", dict(q=torch.ones(2, 5))), ("state", dict(state=torch.zeros(2, 4))), ("mix", dict(mix=torch.ones(3))), ("mix", dict(mix=torch.ones(1, 3)))):
        with pytest.raises(ValueError, match=f"^{name}"): svf(**{**dict(x=torch.zeros(2, 9), cutoff_hz=900.0, q=1.0, sample_rate=FS), **change})
