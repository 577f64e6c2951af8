"""The subtractive synth against a program that does not know it: every formula by itself, sample by sample, in NumPy's float64; SciPy's filter; and all corners of its panel."""
import json, math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from ddsp_book import subtractive
from ddsp_book.hybrid import white_noise
from ddsp_book.oscillators import mix
from ddsp_book.subtractive import FILTERS, SubtractiveSynth, preset

RATE = 16000
CONTINUOUS = [name for name in SubtractiveSynth().panel.knobs if name != "filter"]


def patches(batch, seed=0, dtype=torch.float64, rate=RATE):
    "Random patches that sound within 100 ms: every knob that colours the sound anywhere on its travel, times made short."
    draw = torch.Generator().manual_seed(seed)
    def between(low, high): return low + (high - low) * torch.rand(batch, generator=draw, dtype=dtype)
    short = {name: between(0.002, 0.05) for name in ("attack_s", "decay_s", "release_s", "filter_attack_s", "filter_decay_s", "filter_release_s")}
    return SubtractiveSynth(rate).panel.random(batch, draw, dtype) | short | {"f0_hz": 60 * 2 ** between(0, 4), "note_s": between(0.02, 0.06), "velocity": between(0.3, 1)}


def one(p, row=0): return {name: value[row:row + 1] for name, value in p.items()}


# The same synth, by definition --------------------------------------------------------------------

STEP = [1, 1, 1, 1, 1, 1, 0.7, 0.2]  # the response of a jump, at multiples of a sixteenth of the sample rate

def jump(x):
    if abs(x) >= 8: return math.copysign(0.5, x)
    return x / 16 + sum(c * math.sin(math.pi * m * x / 8) / (math.pi * m) for m, c in enumerate(STEP) if m)

def corner(x):
    if abs(x) >= 8: return 0.0
    weights = {m: 8 * c / (math.pi * m) ** 2 for m, c in enumerate(STEP) if m}
    return x * x / 32 - abs(x) / 2 + 2 + sum((-1) ** m * w - w * math.cos(math.pi * m * x / 8) for m, w in weights.items())

def nearest(p): return p - math.floor(p + 0.5)

def saw(p, delta, reach): return 2 * nearest(p) - 2 * sum(jump((nearest(p) + j) / delta) for j in range(-reach, reach + 1))

def oscillators(p, delta, v):
    "All shapes of one phase, times their levels."
    if delta >= 0.5: return 0.0
    reach, ramp = max(0, math.ceil(8 * delta - 0.5)), saw(p, delta, max(0, math.ceil(8 * delta - 0.5)))
    ends = sum(corner((nearest(p) + j) / delta) - corner((nearest(p + 0.5) + j) / delta) for j in range(-reach, reach + 1))
    return (v["saw"] * ramp + v["pulse"] * (saw(p - v["width"], delta, reach) - ramp)
            + v["triangle"] * (4 * abs(nearest(p)) - 1 + 8 * delta * ends) + v["sine"] * math.sin(2 * math.pi * p))

def envelope(t, attack_s, decay_s, sustain, release_s, note_s, curve):
    def bend(x):
        x = min(1, max(0, x))
        return x if abs(curve) < 1e-6 else (1 - math.exp(-curve * x)) / (1 - math.exp(-curve))
    held = min(t, note_s)
    return (bend(held / attack_s) - (1 - sustain) * bend((held - attack_s) / decay_s)) * (1 - bend((t - note_s) / release_s))

def cookbook(kind, f_hz, q, rate):
    "Bristow-Johnson's formulas as he wrote them."
    omega = 2 * math.pi * f_hz / rate
    cos, alpha = math.cos(omega), math.sin(omega) / (2 * q)
    b = {"low": [(1 - cos) / 2, 1 - cos, (1 - cos) / 2], "band": [alpha, 0, -alpha], "high": [(1 + cos) / 2, -1 - cos, (1 + cos) / 2]}[kind]
    return [c / (1 + alpha) for c in b], [1, -2 * cos / (1 + alpha), (1 - alpha) / (1 + alpha)]

def cutoff(v, n, f0_hz, rate):
    swept = v["sweep_octaves"] * envelope(n / rate, *(v["filter_" + name] for name in ("attack_s", "decay_s", "sustain", "release_s")), v["note_s"], v["curve"])
    return min(0.45 * rate, max(20.0, v["cutoff_hz"] * 2**swept * (f0_hz / 261.6256) ** v["key_tracking"]))

def moving_filter(x, kinds, cutoffs, qs, rate):
    for kind, q in zip(kinds, qs):
        y = np.zeros(len(x) + 2)
        x = np.concatenate([[0, 0], x])
        for n in range(2, len(x)):
            b, a = cookbook(kind, cutoffs[n - 2], q, rate)
            y[n] = b[0] * x[n] + b[1] * x[n - 1] + b[2] * x[n - 2] - a[1] * y[n - 1] - a[2] * y[n - 2]
        x = y[2:]
    return x

def by_definition(patch, n_samples, rate, f0_hz=None):
    "One voice."
    v = {name: float(value[0]) for name, value in patch.items()}
    f0_hz = np.full(n_samples, v["f0_hz"]) if f0_hz is None else f0_hz
    tuned = 2 ** (v["detune_cents"] / 1200)
    cycles = (np.cumsum(f0_hz) - f0_hz) / rate
    hiss = white_noise(n_samples) / math.sqrt(3)
    x = np.array([oscillators(cycles[n] % 1, f0_hz[n] / rate, v) + v["second"] * oscillators(cycles[n] * tuned % 1, f0_hz[n] * tuned / rate, v) + v["noise"] * hiss[n] for n in range(n_samples)])
    x /= max(1, (v["saw"] + v["pulse"] + v["triangle"] + v["sine"]) * (1 + v["second"]) + v["noise"]) * math.sqrt(0.5 + v["resonance"])
    kinds, qs = [(["low"], [v["resonance"]]), (["low", "low"], [0.5**0.5, v["resonance"]]), (["band"], [v["resonance"]]), (["high"], [v["resonance"]])][int(v["filter"])]
    y = moving_filter(x, kinds, [cutoff(v, n, f0_hz[n], rate) for n in range(n_samples)], qs, rate)
    loud = [envelope(n / rate, *(v[name] for name in ("attack_s", "decay_s", "sustain", "release_s", "note_s", "curve"))) for n in range(n_samples)]
    return y * loud * v["velocity"] * (f0_hz < rate / 2)


@pytest.mark.parametrize("kind", range(len(FILTERS)))
def test_sound_by_definition(kind):
    p, n = patches(3, kind), 1000
    p["filter"][:] = kind
    p["f0_hz"][2] = 3000  # where edges overlap
    expected = np.stack([by_definition(one(p, row), n, RATE) for row in range(3)])
    assert np.abs(SubtractiveSynth()(p, n).numpy() - expected).max() < 1e-6  # a steady tone is read from a table
    single = SubtractiveSynth()({name: value.float() for name, value in p.items()}, n).numpy()
    assert np.abs(single - expected).max() < 2e-5


def test_moving_pitch_by_definition():
    p, n = patches(2, 9), 800
    f0_hz = torch.stack([torch.linspace(150, 500, n), torch.linspace(9000, 3000, n)]).double()  # the second begins above Nyquist
    expected = np.stack([by_definition(one(p, row), n, RATE, f0_hz[row].numpy()) for row in range(2)])
    assert np.abs(SubtractiveSynth()(p, n, f0_hz).numpy() - expected).max() < 1e-9


def test_resting_filter_is_scipys():
    "Nothing moves: then SciPy's lfilter with the cookbook's coefficients gives the same."
    p, n = patches(4, 3), 4000
    p |= {"filter": torch.arange(4).double(), "sweep_octaves": torch.zeros(4).double(), "key_tracking": torch.zeros(4).double(), "attack_s": torch.full((4,), 0.001).double(),
          "sustain": torch.ones(4).double(), "note_s": torch.full((4,), 10.0).double(), "velocity": torch.ones(4).double()}
    dry = {name: value.clone() for name, value in p.items()}
    x = SubtractiveSynth().source(p, n, p["f0_hz"][:, None]).numpy()
    y = SubtractiveSynth()(p, n).numpy()
    for row, kinds in enumerate([["low"], ["low", "low"], ["band"], ["high"]]):
        expected, q, f_hz = x[row], float(p["resonance"][row]), float(p["cutoff_hz"][row].clamp(20, 0.45 * RATE))
        for kind, sharp in zip(kinds, [0.5**0.5, q][-len(kinds):]): expected = scipy.signal.lfilter(*cookbook(kind, f_hz, sharp, RATE), expected)
        assert np.abs(y[row, 100:] - expected[100:]).max() < 1e-9
    assert all(torch.equal(p[name], dry[name]) for name in p)  # and a patch is left as it was


def test_additive_oscillators_are_as_far_as_their_rolloff():
    "Below 0.3 of the sample rate the default oscillators are the exact series, in the synth too."
    p = {name: value.double() for name, value in SubtractiveSynth(48000).panel.defaults(1).items()}
    p |= {name: torch.tensor([value]).double() for name, value in {"f0_hz": 440.0, "cutoff_hz": 12000.0, "attack_s": 0.001, "sustain": 1.0, "note_s": 10.0}.items()}
    y = SubtractiveSynth(48000)(p, 48000)[0].numpy()
    x = mix(p["f0_hz"], 48000, 48000, saw=1.0, method="additive")[0].numpy() / math.sqrt(0.5 + p["resonance"].item())
    expected = scipy.signal.lfilter(*cookbook("low", 12000, p["resonance"].item(), 48000), x)
    ours, theirs = (np.abs(np.fft.rfft(v[4800:][:43200] * np.hanning(43200))) for v in (y, expected))
    k = np.arange(1, 32) * 440 * 43200 // 48000
    assert np.abs(20 * np.log10(ours[k] / theirs[k])).max() < 0.5


# Gradients ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", range(len(FILTERS)))
def test_gradcheck(kind):
    "Every continuous knob at once, against finite differences."
    synth, p = SubtractiveSynth(2000), patches(2, 20 + kind, rate=2000)
    p |= {"filter": torch.full((2,), float(kind)).double(), "cutoff_hz": torch.tensor([150.0, 400]).double(), "sweep_octaves": torch.tensor([0.7, -1.1]).double(),
          "f0_hz": torch.tensor([61.0, 143]).double(), "resonance": torch.tensor([0.9, 3]).double(), "note_s": torch.tensor([0.0213, 0.0163]).double()}
    inputs = [p[name].clone().requires_grad_() for name in CONTINUOUS]
    def render(*values): return synth(p | dict(zip(CONTINUOUS, values)), 50)
    assert torch.autograd.gradcheck(render, inputs, eps=1e-7, atol=2e-4, rtol=1e-3)


def test_gradcheck_of_a_moving_pitch():
    synth, p = SubtractiveSynth(2000), patches(2, 5, rate=2000)
    p |= {"cutoff_hz": torch.tensor([150.0, 400]).double(), "key_tracking": torch.tensor([0.3, 1]).double()}
    f0_hz = (60 + 20 * torch.rand(2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: synth(p, 30, f), f0_hz, eps=1e-7, atol=2e-4, rtol=1e-3)


def test_the_synth_agrees_with_its_plain_parts(monkeypatch):
    "The swift oscillators and filter against chapters 9 and 10, sound and gradients."
    p, n, g = patches(4, 8), 600, torch.randn(4, 600, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p["filter"] = torch.arange(4).double()
    def both():
        inputs = [p[name].clone().requires_grad_() for name in CONTINUOUS]
        y = SubtractiveSynth()(p | dict(zip(CONTINUOUS, inputs)), n)
        return y, torch.autograd.grad((g * y).sum(), inputs)
    y, gradients = both()
    monkeypatch.setattr(subtractive, "_swift", lambda x: False)
    plain, expected = both()
    assert (y - plain).abs().max() < 1e-6
    for name, a, b in zip(CONTINUOUS, gradients, expected): assert (a - b).norm() <= 1e-3 * b.norm() + 1e-9, name


def test_float32_gradient_is_close_to_float64():
    p, g = patches(8, 2), torch.randn(8, 4000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = []
    for dtype in (torch.float64, torch.float32):
        q = {name: value.detach().to(dtype, copy=True).requires_grad_(name != "filter") for name, value in p.items()}
        (g.to(dtype) * SubtractiveSynth()(q, 4000)).sum().backward()
        gradients.append([q[name].grad.double() for name in CONTINUOUS])
    for name, exact, single in zip(CONTINUOUS, *gradients): assert (exact - single).norm() < 1e-2 * exact.norm(), name


def test_a_level_at_zero_still_feels():
    "Knobs at rest must be able to leave it: all levels 0 but one, no sweep, no second oscillator."
    p = SubtractiveSynth().panel.defaults(1)
    inputs = {name: p[name].requires_grad_() for name in CONTINUOUS}
    SubtractiveSynth()(p, 4000).square().sum().backward()
    silent = {name for name, value in inputs.items() if value.grad is None or value.grad == 0}
    assert silent <= {"width", "detune_cents", "filter_attack_s", "filter_decay_s", "filter_sustain", "filter_release_s", "release_s", "note_s", "filter_release_s", "decay_s", "sustain"} and inputs["sweep_octaves"].grad != 0


# Every corner of the panel ------------------------------------------------------------------------

PANEL = SubtractiveSynth().panel
TRAVEL = st.lists(st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1)), min_size=PANEL.size, max_size=PANEL.size)

@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(TRAVEL, st.sampled_from([8000, 16000, 44100, 48000]), st.integers(1, 3000))
def test_any_panel_position_is_finite_with_its_gradient(positions, rate, n_samples):
    u = torch.tensor([positions], requires_grad=True)
    y = SubtractiveSynth(rate)(PANEL.from_unit(u), n_samples)
    y.square().sum().backward()
    assert y.isfinite().all() and u.grad.isfinite().all() and y.abs().max() < 30


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=PANEL.size, max_size=PANEL.size), st.integers(0, 3))
def test_a_minute_at_the_extremes_is_finite(corners, kind):
    "60 s at 16 kHz, every knob at one of its ends, in float32."
    u = torch.tensor([corners, [1 - c for c in corners]])
    p = PANEL.from_unit(u)
    p["filter"][:] = kind
    with torch.no_grad(): y = SubtractiveSynth()(p, 60 * RATE)
    assert y.isfinite().all() and y.abs().max() < 30


@settings(max_examples=20)
@given(TRAVEL, st.integers(0, 10**6))
def test_any_moving_pitch_is_finite(positions, seed):
    draw = torch.Generator().manual_seed(seed)
    f0_hz = (10 * 2000 ** torch.rand(1, 300, generator=draw)).requires_grad_()
    y = SubtractiveSynth()(PANEL.from_unit(torch.tensor([positions])), 300, f0_hz)
    y.square().sum().backward()
    assert y.isfinite().all() and f0_hz.grad.isfinite().all()
    assert (y[f0_hz >= RATE / 2] == 0).all()


def test_no_louder_than_one_before_the_filter():
    p = patches(64, 4)
    p["resonance"][:] = 0.5
    assert SubtractiveSynth().source(p, 2000, p["f0_hz"][:, None]).abs().max() < 1.15  # an edge without aliasing overshoots a little


# Behaviour ------------------------------------------------------------------------------------------

def test_a_batch_is_each_alone():
    p, synth = patches(8, 1), SubtractiveSynth()
    p["filter"] = torch.tensor([0.0, 1, 2, 3, 1, 0, 1, 2]).double()
    together = synth(p, 700)
    for row in range(8): assert (together[row] - synth(one(p, row), 700)[0]).abs().max() < 1e-12


def test_threads_change_nothing():
    p, synth, before = patches(5, 1), SubtractiveSynth(), torch.get_num_threads()
    try:
        sounds = []
        for threads in (1, 3, 8):
            torch.set_num_threads(threads)
            sounds.append(synth(p, 700))
    finally: torch.set_num_threads(before)
    assert all(torch.equal(sounds[0], y) for y in sounds)


def test_a_longer_note_begins_the_same():
    p, synth = patches(3, 6), SubtractiveSynth()
    assert (synth(p, 4000)[:, :1000] - synth(p, 1000)).abs().max() < 1e-9


def test_at_nyquist_a_note_is_silent():
    p, synth = patches(3, 6), SubtractiveSynth()
    p["noise"][:], p["f0_hz"] = 1, torch.tensor([7999.0, 8000, 9999]).double()
    y = synth(p, 500)
    assert y[0].abs().max() > 0 and not y[1:].any()


def test_key_tracking_moves_the_cutoff_with_the_key():
    synth = SubtractiveSynth()
    p = synth.panel.defaults(3)
    p["f0_hz"], p["key_tracking"] = torch.tensor([261.6256, 523.2512, 523.2512]), torch.tensor([1.0, 1.0, 0.5])
    f_hz = synth.cutoff(p, torch.zeros(3, 4), p["f0_hz"][:, None])[:, 0]
    assert torch.allclose(f_hz, torch.tensor([2000, 4000, 2000 * 2**0.5]))


def test_the_envelope_sweeps_the_cutoff():
    synth = SubtractiveSynth()
    p = synth.panel.defaults(2)
    p["sweep_octaves"] = torch.tensor([2.0, -6.0])
    f_hz = synth.cutoff(p, torch.tensor([[0.0, 0.5, 1.0]] * 2), p["f0_hz"][:, None])
    assert torch.allclose(f_hz, torch.tensor([[2000, 4000, 7200.0], [2000, 250, 31.25]]))


def test_presets():
    names = [path.name[:-5] for path in (subtractive.files("ddsp_book") / "data" / "patches" / "subtractive").iterdir() if path.name.endswith(".json")]
    assert len(names) >= 6
    for name in names:
        y = SubtractiveSynth(48000)(preset(name), 24000)
        assert y.isfinite().all() and 0.01 < y.abs().max() <= 1, name
    with pytest.raises(ValueError, match="name: there is no preset 'no such', but .*brass"): preset("no such")


def test_panel():
    assert list(PANEL.knobs)[:10] == ["saw", "pulse", "triangle", "sine", "noise", "width", "second", "detune_cents", "filter", "cutoff_hz"] and list(PANEL.knobs)[-3:] == ["f0_hz", "note_s", "velocity"]
    assert json.loads(PANEL.to_json())["synth"] == "subtractive" and PANEL.size == 25


# Bad input ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, value", [("cutoff_hz", 0.0), ("cutoff_hz", -100.0), ("cutoff_hz", 24000.0), ("resonance", 0.0), ("resonance", -1.0), ("width", 0.0), ("width", 1.0),
                                         ("width", math.nan), ("f0_hz", math.inf), ("f0_hz", 0.0), ("saw", 1.1), ("filter", 4.0), ("filter", 0.5), ("attack_s", 0.0), ("velocity", -0.1)])
def test_bad_knob(name, value):
    p = patches(1)
    p[name] = torch.full_like(p[name], value)
    with pytest.raises(ValueError, match=f"^{name}: "): SubtractiveSynth()(p, 10)


@pytest.mark.parametrize("change, message", [
    (lambda p: p.pop("saw"), "saw: missing"), (lambda p: p.update(cut=torch.ones(1)), "cut: there is no such knob"), (lambda p: p.update(saw=torch.ones(2).double()), "batch")])
def test_bad_patch(change, message):
    p = patches(1)
    change(p)
    with pytest.raises(ValueError, match=message): SubtractiveSynth()(p, 10)


def test_bad_pitch_length_and_rate():
    p = patches(1)
    for f0_hz in (torch.ones(10), torch.ones(1, 9), torch.zeros(1, 10), torch.full((1, 10), math.nan), torch.ones(2, 10)):
        with pytest.raises(ValueError, match="^f0_hz: "): SubtractiveSynth()(p, 10, f0_hz)
    for n in (0, 2.5, -1):
        with pytest.raises(ValueError, match="^n_samples: "): SubtractiveSynth()(p, n)
    for rate in (0, -1, math.nan):
        with pytest.raises(ValueError, match="^sample_rate: "): SubtractiveSynth(rate)
