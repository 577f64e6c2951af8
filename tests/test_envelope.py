"ADSR: properties at any parameters, references that we did not write, gradients, bad input."
import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import example, given, settings, strategies as st
from ddsp_book.envelope import ADSR, NOTE, adsr, bend, envelope_knobs, level

NAMES = "attack_s", "decay_s", "sustain", "release_s", "note_s", "curve"
seconds = st.floats(1e-4, 5.0)
any_stages = st.tuples(seconds, seconds, st.floats(0, 1), seconds, seconds, st.floats(-12, 12))
quick = settings(max_examples=100, deadline=None)
f64 = torch.float64

def at(t, stages):
    "`level` at the times `t`, for one envelope."
    return level(torch.as_tensor(t, dtype=f64), *(torch.tensor(float(v), dtype=f64) for v in stages))

def steepest(stages):
    "The largest slope that any of its ramps can have, per second."
    attack, decay, _, release, _, curve = stages
    c = abs(curve)
    return (c / -np.expm1(-c) if c > 1e-6 else 1 + c) / min(attack, decay, release)

# --- properties ---------------------------------------------------------------------------------------

@quick
@given(any_stages)
@example((1e-4, 1e-4, 0.0, 1e-4, 1e-4, 12.0))
@example((1.0, 1.0, 1.0, 1.0, 0.5, 0.0))
def test_within_0_and_1(stages):
    for y in (at(torch.linspace(0, 12, 4001), stages), adsr(4000, 500, *map(float, stages)).double()):
        assert y.isfinite().all() and y.min() >= -1e-7 and y.max() <= 1 + 1e-7

@quick
@given(any_stages, st.floats(50, 96000))
def test_continuous_in_time(stages, sample_rate):
    y = adsr(2000, sample_rate, *(torch.tensor(v, dtype=f64) for v in stages))
    assert y.diff().abs().max() <= steepest(stages) / sample_rate * (1 + 1e-6) + 1e-9

@quick
@given(any_stages, st.integers(0, 5), st.sampled_from([1e-5, 1e-7]))
def test_continuous_in_every_parameter(stages, which, nudge):
    "A hundred times smaller change of a parameter, a far smaller change of the sound: no jump anywhere."
    t = torch.linspace(0, 12, 3001, dtype=f64)
    moved = list(stages)
    moved[which] = min(1.0, moved[which] + nudge) if NAMES[which] == "sustain" else moved[which] + nudge
    shortest = min(stages[0], stages[1], stages[3])
    bound = nudge * max(2, 12 * steepest(stages) * (1 + 12 / shortest) if NAMES[which] != "sustain" else 2)
    assert (at(t, moved) - at(t, stages)).abs().max() <= bound

@quick
@given(any_stages)
def test_end_points_are_exact(stages):
    attack, decay, sustain, release, held, curve = stages
    note = attack + decay + held
    stages = attack, decay, sustain, release, note, curve
    assert at(0.0, stages) == 0
    assert at(attack, stages) == 1
    assert at(attack + decay, stages) == pytest.approx(sustain, abs=1e-9)
    assert at(note, stages) == pytest.approx(sustain, abs=1e-12)
    assert at(np.nextafter(note + release, 1e3) + 1e-9, stages) == 0

@quick
@given(any_stages)
def test_monotone_in_each_stage(stages):
    attack, decay, _, release, note, _ = stages
    def ramp(start, end): return at(torch.linspace(start, end, 300, dtype=f64), stages).diff()
    assert ramp(0, min(attack, note)).min() >= -1e-12
    if note > attack: assert ramp(attack, min(attack + decay, note)).max() <= 1e-12
    if note > attack + decay: assert ramp(attack + decay, note).abs().max() <= 1e-9
    assert ramp(note, note + release).max() <= 1e-12

@quick
@given(any_stages)
def test_release_starts_from_wherever_the_level_is(stages):
    *_, note, _ = stages
    held = at(note, (*stages[:4], 100.0, stages[5]))  # the same, with the key down
    assert at(note, stages) == held

@given(st.floats(0, 1), st.floats(0, 1), st.floats(-15, 15))
def test_addition_theorem(x, y, c):
    x, y, c = (torch.tensor(v, dtype=f64) for v in (x, y, c))
    whole = bend(x + y, c)
    assert torch.isclose(whole, bend(x, c) + torch.exp(-c * x) * bend(y, c), rtol=1e-6, atol=1e-7)

# --- against others ------------------------------------------------------------------------------------

def test_straight_lines_against_numpy_interp():
    t = np.arange(16000) / 16000
    for attack, decay, sustain, release, note in ((0.1, 0.2, 0.4, 0.3, 0.6), (0.013, 0.7, 0.0, 0.02, 0.99)):
        peak = np.interp(note, [0, attack, attack + decay, 99], [0, 1, sustain, sustain])
        points = sorted({0: 0.0, note: peak, note + release: 0.0, 99: 0.0}.items()) if note < attack else sorted(
            {0: 0.0, attack: 1.0, min(note, attack + decay): max(peak, sustain), note: peak, note + release: 0.0, 99: 0.0}.items())
        theirs = np.interp(t, *zip(*points))
        assert np.abs(adsr(16000, 16000, attack, decay, sustain, release, note).numpy() - theirs).max() < 1e-5

@pytest.mark.parametrize("curve", [-4.0, 0.5, 3.0, 9.0])
def test_a_bend_is_a_capacitor_being_charged(curve):
    "tau y' = target - y, solved by scipy; it is cut off when y reaches 1."
    tau, target = 1 / curve, 1 / -np.expm1(-curve)
    solved = scipy.integrate.solve_ivp(lambda t, y: (target - y) / tau, (0, 1), [0], rtol=1e-11, atol=1e-12,
                                       t_eval=np.linspace(0, 1, 101), method="DOP853")
    ours = bend(torch.linspace(0, 1, 101, dtype=f64), torch.tensor(curve, dtype=f64))
    assert np.abs(ours.numpy() - solved.y[0]).max() < 1e-8

@pytest.mark.parametrize("n, sample_rate", [(1, 16000), (5, 16000), (997, 1000), (1679, 250), (16000, 16000), (44100, 44100)])
def test_blocks_are_the_formula(n, sample_rate):
    generator = torch.Generator().manual_seed(0)
    def drawn(low, high): return (low + (high - low) * torch.rand(60, generator=generator, dtype=f64))
    stages = [10**drawn(-4, 0), 10**drawn(-4, 0), drawn(0, 1), 10**drawn(-4, 0), drawn(1e-4, 1.2), drawn(-8, 8)]
    stages = [stage.requires_grad_() for stage in stages]
    weights = torch.randn(60, n, generator=generator, dtype=f64)
    ours = adsr(n, sample_rate, *stages)
    plain = level(torch.arange(n, dtype=f64) / sample_rate, *(stage[:, None] for stage in stages))
    assert (ours - plain).abs().max() < 1e-10
    for a, b in zip(torch.autograd.grad(ours, stages, weights), torch.autograd.grad(plain, stages, weights)):
        assert (a - b).abs().max() <= 1e-9 * max(1, b.abs().max())

# --- gradients -----------------------------------------------------------------------------------------

def off_the_corners(note, curve):
    "Six parameters that put no corner onto a sample of a grid of 300 Hz."
    return [torch.tensor(v, dtype=f64, requires_grad=True) for v in (0.0411, 0.0617, 0.43, 0.0337, note, curve)]

@pytest.mark.parametrize("curve", [0.0, 2.5, -3.0])
@pytest.mark.parametrize("note", [0.0213, 0.0553, 0.1507])  # let go during attack, decay, sustain
def test_gradcheck(curve, note):
    assert torch.autograd.gradcheck(lambda *stages: adsr(64, 300, *stages), off_the_corners(note, curve), eps=1e-7, atol=1e-5)

def test_gradients_have_gradients():
    *stages, curve = off_the_corners(0.1507, 2.5)
    assert torch.autograd.gradgradcheck(lambda *stages: adsr(64, 300, *stages, curve=2.5), stages, eps=1e-7, atol=1e-3, rtol=1e-3, fast_mode=True)

def test_what_is_not_heard_has_no_gradient():
    stages = {name: torch.tensor(v, requires_grad=True) for name, v in zip(
        NAMES, (0.2, 0.3, 0.5, 0.1, 0.1, 1.0))}  # let go during the attack
    adsr(8000, 16000, **stages).sum().backward()
    assert stages["decay_s"].grad == 0 and stages["sustain"].grad == 0
    for name in ("attack_s", "release_s", "note_s", "curve"): assert stages[name].grad != 0

def test_gradients_are_finite_at_the_ends_of_every_knob():
    for end in (0.0, 1.0):
        panel = ADSR(16000, 6).panel
        u = torch.full((2, panel.size), end, requires_grad=True)
        ADSR(16000, 6)(panel.from_unit(u), 4000).square().sum().backward()
        assert u.grad.isfinite().all()

def test_autograd_keeps_little():
    "The point of the blocks: nothing as long as the sound is kept, except by the last product's operands."
    kept = []
    stages = [torch.full((16, 6), v, requires_grad=True) for v in (0.1, 0.2, 0.5, 0.2, 0.6)]
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel() * x.element_size()) or x, lambda x: x):
        y = adsr(48000, 48000, *stages)
    assert max(kept) < 0.2 * y.numel() * y.element_size()

def test_float32_is_as_good_as_float64():
    stages = [torch.tensor(v) for v in (0.003, 0.4, 0.35, 0.25, 59.3, 4.0)]
    n = 60 * 48000
    ours, exact = adsr(n, 48000, *stages), adsr(n, 48000, *(v.double() for v in stages))
    assert ours.dtype == torch.float32 and (ours - exact).abs().max() < 1e-6

def test_compiles_in_one_graph():
    envelope = ADSR(16000, 2)
    u = envelope.panel.to_unit(envelope.panel.random(3, torch.Generator().manual_seed(0))).requires_grad_()
    def render(u): return envelope(envelope.panel.from_unit(u), 2000)
    compiled = torch.compile(render, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(u), render(u), atol=1e-6)
    assert torch.allclose(*(torch.autograd.grad(f(u).square().sum(), u)[0] for f in (compiled, render)), rtol=1e-4, atol=1e-3)

def test_forward_mode():
    stages = torch.tensor([0.0411, 0.0617, 0.43, 0.0337, 0.1507, 2.0], dtype=f64)
    def envelope(stages): return adsr(64, 300, *stages)
    assert torch.allclose(torch.func.jacfwd(envelope)(stages), torch.autograd.functional.jacobian(envelope, stages))

# --- shapes and bad input ----------------------------------------------------------------------------------

def test_shapes_and_dtypes():
    assert adsr(100, 1000, 0.01, 0.01, 0.5, 0.01, 0.05).shape == (100,)
    batch = torch.full((2, 3, 4), 0.01)
    y = adsr(100, 1000, batch, 0.01, 0.5, 0.01, 0.05, curve=batch)
    assert y.shape == (2, 3, 4, 100) and y.dtype == torch.float32
    assert adsr(100, 1000, batch.double(), 0.01, 0.5, 0.01, 0.05).dtype == f64
    assert torch.equal(adsr(100, 1000, batch, batch, batch, batch, batch)[1, 2, 3], adsr(100, 1000, *batch[0, 0, :1].repeat(5)))

def test_module():
    one, six = ADSR(16000), ADSR(16000, 6)
    assert one(one.panel.defaults(3), 500).shape == (3, 500)
    patch = six.panel.random(2, torch.Generator().manual_seed(0))
    y = six(patch, 500)
    assert y.shape == (2, 6, 500)
    alone = adsr(500, 16000, *(patch[name][1, 4] for name in NAMES[:4]), patch["note_s"][1], patch["curve"][1])
    assert torch.allclose(y[1, 4], alone, atol=1e-6)
    assert not list(six.parameters())
    assert [k.name for k in envelope_knobs(3)] == ["attack_s", "decay_s", "sustain", "release_s", "curve"] and NOTE.low > 0

GOOD = dict(n_samples=100, sample_rate=1000, attack_s=0.1, decay_s=0.1, sustain=0.5, release_s=0.1, note_s=0.1, curve=0.0)

@pytest.mark.parametrize("name, value", [
    ("attack_s", 0.0), ("decay_s", -0.1), ("release_s", float("nan")), ("note_s", 0.0), ("note_s", float("inf")),
    ("sustain", 1.1), ("sustain", -0.1), ("curve", 99.0), ("curve", float("nan")), ("sample_rate", 0), ("sample_rate", -1.0),
    ("n_samples", 0), ("n_samples", 2.5), ("n_samples", -3), ("release_s", []), ("sustain", torch.tensor([0.5, 2.0])),
])
def test_bad_input_names_the_argument(name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name}"): adsr(**{**GOOD, name: value})

def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"^sustain: expected \(3,\) as for attack_s, or one number, got \(2,\)"):
        adsr(**{**GOOD, "attack_s": torch.ones(3), "sustain": torch.ones(2)})
