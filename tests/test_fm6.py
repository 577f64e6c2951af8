"""Six-operator FM against programs that do not know it: a loop by definition in float64, a DX7 engine, Kepler's equation."""
import itertools, json, math, os, re, subprocess, sys, warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.special import jv

from ddsp_book import algorithms, fm6, kernel
from ddsp_book.algorithms import TAU
from ddsp_book.envelope import adsr
from ddsp_book.fm import AliasingWarning
from ddsp_book.fm6 import ALGORITHMS, FM6Op, routing_of
from ddsp_book.page import BLUE, ORANGE

pytestmark = pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
RATE = 16000


def patches(batch, seed=0, dtype=torch.float64, rate=RATE):
    "Random but tame patches: no chaos, so that two programs can agree on each sample."
    draw = torch.Generator().manual_seed(seed)
    def between(low, high, size=6): return low + (high - low) * torch.rand(batch, size, generator=draw, dtype=dtype)
    p = FM6Op(rate).panel.defaults(batch, dtype=dtype)
    return p | {"ratio": between(0.5, 4), "detune_cents": between(-20, 20), "level": between(0.1, 0.5),
                "feedback": between(0.1, 0.4, 1)[:, 0], "attack_s": between(0.003, 0.02), "decay_s": between(0.02, 0.1), "sustain": between(0.2, 0.9),
                "release_s": between(0.01, 0.05), "note_s": between(0.03, 0.06, 1)[:, 0], "curve": between(0, 5, 1)[:, 0],
                "f0_hz": between(100, 300, 1)[:, 0], "velocity": between(0.3, 1, 1)[:, 0]}


def without_numba(monkeypatch):
    for module in algorithms, fm6: monkeypatch.setattr(module, "compilable", lambda x: False)


def envelopes(p, n, rate=RATE):
    return adsr(n, rate, p["attack_s"], p["decay_s"], p["sustain"], p["release_s"], p["note_s"][:, None].expand(-1, 6), p["curve"][:, None].expand(-1, 6))


def by_definition(f_hz, level, env, forward, back, carriers, rate, depth=1.0):
    """One voice, sample by sample, in float64. forward and back: (6, 6) in cycles, [i, j] is how far j moves i; f_hz (6,) or (6, samples)."""
    n = env.shape[1]
    cycles = np.arange(n) * f_hz[:, None] / rate if f_hz.ndim == 1 else np.cumsum(f_hz, 1) / rate - f_hz / rate
    y = np.zeros((6, n + 2))
    order = next(o for o in itertools.permutations(range(5, -1, -1)) if all(o.index(j) < o.index(i) for i, j in zip(*np.nonzero(forward))))
    for k in range(n):
        for i in order:
            phase = cycles[i, k] + depth * forward[i] @ y[:, k + 2] + back[i] @ (y[:, k] + y[:, k + 1]) / 2
            y[i, k + 2] = level[i] * env[i, k] * math.sin(2 * math.pi * phase)
    return carriers @ y[:, 2:] / carriers.sum()


def matrices(number):
    entry, forward, back, carriers = ALGORITHMS[number], np.zeros((6, 6)), np.zeros((6, 6)), np.zeros(6)
    for source, target in entry["edges"]: forward[target - 1, source - 1] = 1
    source, target = entry["feedback"]
    back[target - 1, source - 1] = 1
    carriers[np.array(entry["carriers"]) - 1] = 1
    return forward, back, carriers


# The thirty-two ---------------------------------------------------------------------------------

def test_chart_agrees_with_a_dx7():
    dexed = pytest.importorskip("dexed")
    for number in ALGORITHMS:
        theirs = dexed.algorithms[number - 1]
        forward, back, carriers = matrices(number)
        assert (forward.T == theirs.mod_matrix).all() or (forward == theirs.mod_matrix).all()
        assert set(np.flatnonzero(carriers)) == set(theirs.carriers) and tuple(op - 1 for op in ALGORITHMS[number]["feedback"]) == theirs.feedback_edge


@pytest.mark.parametrize("feedback", [0, 5, 7])
@pytest.mark.parametrize("number", ALGORITHMS)
def test_sound_agrees_with_a_dx7(number, feedback):
    "Dexed's engine: logarithmic sine table and stepped gains, so some 35 dB and more is all that there is to get."
    dexed = pytest.importorskip("dexed")
    from dexed.patch import Patch
    rate, n, output_level, ratios = 44100, 4000, 80, [1, 2, 3, 1, 2, 1]
    if number in (4, 6): feedback = min(feedback, 5)  # beyond, their long loops amplify the rounding of the engine
    theirs = Patch()
    theirs.algorithm, theirs.feedback = number - 1, feedback
    for op, ratio in zip(theirs._operators, ratios): op.frequency_coarse, op.output_level = ratio, output_level
    engine = dexed.DexedSynth(rate)
    engine.normalize_feedback = True  # else algorithms 4, 6 and 32 have a quarter of it
    engine.load_patch(theirs)
    expected = engine.render(69, 127, n / rate, n / rate)
    p = patches(1, dtype=torch.float32)
    values = {"algorithm": number, "level": 2 ** ((output_level - 99) / 8), "detune_cents": 0, "f0_hz": 440, "velocity": 1, "feedback": 2.0 ** (feedback - 7) if feedback else 0,
              "attack_s": 0.001, "sustain": 1, "note_s": 10}
    for name, value in values.items(): p[name][:] = value
    p["ratio"][:] = torch.tensor(ratios, dtype=torch.float32)
    ours = FM6Op(rate, depth=2)(p, n)[0].numpy() * len(ALGORITHMS[number]["carriers"])
    a, b = expected[400:3500], ours[400:3500]  # both attacks are over
    gain = a @ b / (b @ b)
    assert abs(gain - 1) < 0.01 and 10 * np.log10(a @ a / np.sum((a - gain * b) ** 2)) > 30


@pytest.mark.parametrize("way", ["compiled", "pure torch"])
@pytest.mark.parametrize("number", ALGORITHMS)
def test_algorithm_by_definition(number, way, monkeypatch):
    if way == "pure torch": without_numba(monkeypatch)
    p, n = patches(1, seed=number), 1000
    p["algorithm"][:] = number
    forward, back, carriers = matrices(number)
    synth = FM6Op(RATE)
    expected = p["velocity"].item() * by_definition(synth.frequencies(p)[0].numpy(), p["level"][0].numpy(), envelopes(p, n)[0].numpy(),
                                                    forward, p["feedback"].item() * back, carriers, RATE)
    assert np.abs(synth(p, n)[0].numpy() - expected).max() < 1e-12
    single = synth({name: value.float() for name, value in p.items()}, n)[0].numpy()
    assert np.abs(single - expected).max() < 1e-4


def test_batch_of_many_algorithms_is_each_alone():
    p = patches(12)
    p["algorithm"] = torch.tensor([5.0, 4, 32, 5, 1, 16, 4, 6, 19, 1, 5, 28]).double()
    synth = FM6Op(RATE)
    together = synth(p, 500)
    for row in range(12): assert torch.equal(together[row], synth({k: v[row:row + 1] for k, v in p.items()}, 500)[0])


@pytest.mark.parametrize("number", sorted(set(ALGORITHMS) - {4, 6}))
def test_algorithm_is_its_routing(number):
    p = patches(2)
    p["algorithm"][:] = number
    routing, carriers = (v.double().expand(2, *v.shape) for v in routing_of(number))
    synth = FM6Op(RATE)
    assert (synth(p, 400) - synth(p, 400, routing, carriers)).abs().max() < 1e-12
    del p["algorithm"]
    assert synth(p, 400, routing, carriers).shape == (2, 400)


# Any routing ------------------------------------------------------------------------------------

@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 2**15 - 1), st.integers(0, 2**6 - 1), st.integers(0, 1000))
def test_any_acyclic_routing_by_definition(order, wires, loops, seed):
    "Operators in any order, any wires along it, feedback wherever one likes."
    draw = np.random.default_rng(seed)
    routing = np.zeros((6, 6))
    for bit, (late, early) in enumerate((i, j) for i in range(6) for j in range(i)):
        if wires >> bit & 1: routing[order[late], order[early]] = draw.uniform(-1, 1)
    diagonal = np.diag([draw.uniform(0, 1) * (loops >> op & 1) for op in range(6)])
    carriers, n, p = draw.uniform(0.1, 1, 6), 200, patches(1, seed)
    synth = FM6Op(RATE)
    expected = p["velocity"].item() * by_definition(synth.frequencies(p)[0].numpy(), p["level"][0].numpy(), envelopes(p, n)[0].numpy(),
                                                    routing, p["feedback"].item() * diagonal, carriers, RATE)
    ours = synth(p, n, torch.tensor(routing + diagonal)[None], torch.tensor(carriers)[None])
    assert np.abs(ours[0].numpy() - expected).max() < 1e-11


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=6, unique=True))
def test_a_circle_is_refused_and_spelled_out(ops):
    routing = torch.zeros(1, 6, 6)
    for source, target in zip(ops, ops[1:] + ops[:1]): routing[0, target, source] = 0.5
    with pytest.raises(ValueError, match="circle") as error: FM6Op(RATE)(patches(1), 100, routing, torch.ones(1, 6))
    named = [int(op) - 1 for op in re.findall(r"\d", str(error.value).split(" modulate")[0])]
    assert named[0] == named[-1] and set(named) == set(ops) and all(routing[0, b, a] for a, b in zip(named, named[1:]))


def test_routing_learns_wires_that_are_not_there():
    p, routing, carriers = patches(1), torch.zeros(1, 6, 6, dtype=torch.float64, requires_grad=True), torch.tensor([[1.0, 1, 0, 0, 0, 0]]).double()
    synth = FM6Op(RATE)
    torch.manual_seed(0)
    g = torch.randn(1, 300, dtype=torch.float64)
    exact, = torch.autograd.grad((g * synth(p, 300, routing, carriers)).sum(), routing)
    for i, j in ((0, 1), (0, 5), (1, 3), (1, 1), (0, 0)):
        nudge = torch.zeros_like(routing)
        nudge[0, i, j] = 1e-6
        with torch.no_grad(): slope = (g * (synth(p, 300, nudge, carriers) - synth(p, 300, -nudge, carriers))).sum() / 2e-6
        assert torch.isclose(exact[0, i, j], slope, rtol=1e-5, atol=1e-8)


# Gradients --------------------------------------------------------------------------------------

CONTINUOUS = ["ratio", "detune_cents", "level", "feedback", "attack_s", "decay_s", "sustain", "release_s", "curve", "f0_hz", "note_s", "velocity"]


@pytest.mark.parametrize("number, way", [(1, "compiled"), (4, "compiled"), (4, "pure torch"), (6, "compiled"), (8, "pure torch"), (19, "compiled")])
def test_gradcheck(number, way, monkeypatch):
    if way == "pure torch": without_numba(monkeypatch)
    synth, p = FM6Op(1000), patches(1, rate=1000)
    p["f0_hz"][:], p["algorithm"][:] = 50, number
    inputs = [p[name].clone().requires_grad_() for name in CONTINUOUS]
    def render(*values): return synth(p | dict(zip(CONTINUOUS, values)), 60)
    assert torch.autograd.gradcheck(render, inputs, eps=1e-7, atol=1e-3, rtol=1e-3)


def both_paths(p, n, monkeypatch):
    "Sound and gradients by the kernel, then by PyTorch."
    found, g = [], torch.randn(len(p["feedback"]), n, generator=torch.Generator().manual_seed(0), dtype=p["feedback"].dtype)
    for way in "compiled", "pure torch":
        if way == "pure torch": without_numba(monkeypatch)
        inputs = [p[name].detach().clone().requires_grad_() for name in CONTINUOUS]
        y = FM6Op(RATE)(p | dict(zip(CONTINUOUS, inputs)), n)
        found.append([y.detach(), *torch.autograd.grad(y, inputs, g)])
    return zip(*found)


@pytest.mark.parametrize("n", [1, 61, 997, 1600])
@pytest.mark.parametrize("feedback", [0, 0.2, 0.45])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 3e-4)])
def test_kernel_agrees_with_torch(dtype, tolerance, feedback, n, monkeypatch):
    p = patches(32, dtype=dtype)
    p["algorithm"], p["feedback"][:] = torch.arange(1, 33).to(dtype), feedback
    for kernel, plain in both_paths(p, n, monkeypatch): assert (kernel - plain).norm() <= tolerance * plain.norm() + 1e-6 * tolerance


def test_kernel_forgets_in_chaos_as_torch_does(monkeypatch):
    "After a few dozen samples the gradient has grown by a million, and the sounds have not parted yet."
    p = patches(32)
    p["algorithm"], p["feedback"][:], p["level"][:], p["sustain"][:] = torch.arange(1, 33).double(), 1, 1, 1
    p["attack_s"][:], p["note_s"][:] = 0.001, 1
    limited, adjoint = [], algorithms._adjoint
    monkeypatch.setattr(algorithms, "_adjoint", lambda gain, g: limited.append(not torch.equal(algorithms._unroll(gain, g), adjoint(gain, g))) or adjoint(gain, g))
    (y, plain), *grads = both_paths(p, 40, monkeypatch)
    same = (y - plain).abs().amax(1) < 1e-6
    assert same.sum() + sum(limited) > 32, "some rows are both: limited, and still the same"
    for kernel, plain in grads:
        assert kernel.isfinite().all()
        assert (kernel - plain)[same].norm() <= 1e-3 * plain[same].norm()


@pytest.mark.parametrize("number", ALGORITHMS)
def test_gradcheck_of_the_kernel(number):
    torch.manual_seed(number)
    step, weight, feedback, out = (v.double().requires_grad_() for v in (torch.rand(2, 6) / 4, torch.rand(2, 6, 6), torch.rand(2, 6), torch.rand(2, 6)))
    blocks, shapes = (torch.rand(2, 6, 2, 3) / 2).double().requires_grad_(), torch.rand(2, 6, 3, 32).double().requires_grad_()
    wired, at = torch.tensor(kernel._HEARS[number - 1]), kernel._LOOPS[number - 1, 1]
    fed, carriers = torch.zeros(6).double().index_fill(0, torch.tensor(at), 1), kernel.all_routings()[1][number - 1]
    def render(step, blocks, shapes, weight, feedback, out):
        return kernel.Rows.apply(step, blocks, shapes, weight * wired, feedback * fed, out * carriers, torch.tensor([number - 1] * 2), 50)
    assert torch.autograd.gradcheck(render, [step, blocks, shapes, weight, feedback, out], atol=1e-5)


def test_sines_of_the_kernel():
    turns = np.linspace(-5, 5, 100001, dtype=np.float32)
    for ours, exact in (kernel._sine, np.sin), (kernel._cosine, np.cos):
        assert max(abs(ours(t) - exact(2 * np.pi * float(t))) for t in turns[::7]) < 1e-6


def test_gradcheck_routing_and_moving_pitch():
    synth, p = FM6Op(2000), patches(2, rate=2000)
    torch.manual_seed(1)
    routing = (torch.triu(torch.rand(2, 6, 6, dtype=torch.float64)) * 0.5).requires_grad_()
    carriers = (torch.rand(2, 6, dtype=torch.float64) + 0.1).requires_grad_()
    f0_hz = (100 + 20 * torch.rand(2, 40, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, c, f: synth(p, 40, torch.triu(r), c, f), [routing, carriers, f0_hz], atol=1e-4)


@pytest.mark.parametrize("n", [1, 61, 131, 997])
def test_a_length_that_no_block_divides(n):
    "Envelopes are made in blocks; the last one is cut off, in the sound and in the gradient."
    p, synth = patches(2), FM6Op(RATE)
    p["algorithm"] = torch.tensor([4.0, 19]).double()
    f0_hz = p["f0_hz"][:, None].expand(-1, 1000)
    torch.manual_seed(0)
    g = torch.nn.functional.pad(torch.randn(2, n, dtype=torch.float64), (0, 1000 - n))
    for moving in (False, True):
        def render(count): return synth(p, count, f0_hz=f0_hz[:, :count] if moving else None)
        inputs = [p[name].requires_grad_() for name in CONTINUOUS if not (moving and name == "f0_hz")]
        assert torch.allclose(render(n), render(1000)[:, :n], atol=1e-12)
        cut, whole = torch.autograd.grad((g[:, :n] * render(n)).sum(), inputs), torch.autograd.grad((g * render(1000)).sum(), inputs)
        for a, b in zip(cut, whole): assert torch.allclose(a, b, rtol=1e-8, atol=1e-10)


def test_gradient_of_fixed_frequency_and_none_for_the_ratio():
    p = patches(1)
    p["fixed"][0, 0], p["algorithm"][:] = 1, 32
    p["fixed_hz"], p["ratio"] = p["fixed_hz"].requires_grad_(), p["ratio"].requires_grad_()
    FM6Op(RATE)(p, 500).square().sum().backward()
    assert p["fixed_hz"].grad[0, 0] != 0 and (p["fixed_hz"].grad[0, 1:] == 0).all()
    assert p["ratio"].grad[0, 0] == 0 and (p["ratio"].grad[0, 1:] != 0).all()


def test_float32_gradient_is_close_to_float64():
    p = patches(3)
    p["algorithm"] = torch.tensor([1.0, 4, 22]).double()
    torch.manual_seed(0)
    g = torch.randn(3, 2000, dtype=torch.float64)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        q = {name: value.detach().to(dtype, copy=True).requires_grad_() for name, value in p.items()}
        (g.to(dtype) * FM6Op(RATE)(q, 2000)).sum().backward()
        gradients.append([q[name].grad.double() for name in CONTINUOUS])
    for name, exact, single in zip(CONTINUOUS, *gradients): assert (exact - single).norm() < 2e-3 * exact.norm(), name


def test_chaos_keeps_the_gradient_finite():
    p = patches(2, dtype=torch.float32)
    p["feedback"], p["level"], p["sustain"] = torch.ones(2), torch.ones(2, 6), torch.ones(2, 6)
    p["note_s"][:] = 2
    p["algorithm"] = torch.tensor([32.0, 4])
    inputs = [p[name].requires_grad_() for name in CONTINUOUS]
    FM6Op(RATE)(p, RATE).square().mean().backward()
    assert all(x.grad.isfinite().all() for x in inputs)


# Feedback ---------------------------------------------------------------------------------------

def test_feedback_solves_keplers_equation():
    "y = sin(ωt + βy): harmonic k is 2/(kβ) J_k(kβ); a sample and a half of delay apart."
    synth, beta, k = FM6Op(48000), 0.9, np.arange(1, 9)
    p = synth.panel.defaults(1, dtype=torch.float64)
    for name, value in {"algorithm": 32, "f0_hz": 50, "feedback": beta / (2 * np.pi), "level": 0, "attack_s": 0.001, "sustain": 1, "note_s": 10}.items(): p[name][:] = value
    p["level"][0, 5] = 1
    y = 6 * synth(p, 2 * 48000)[0, 48000:].numpy()
    measured = 2 * np.abs(np.fft.rfft(y))[50 * k] / 48000
    assert np.abs(measured - 2 * jv(k, k * beta) / (k * beta)).max() < 0.005


@pytest.mark.parametrize("feedback", [0.1, 0.3, 0.45, 0.9])
def test_both_ways_round_the_loop_agree(feedback, monkeypatch):
    torch.manual_seed(0)
    angle, env, link = 6.28 * torch.rand(2, 3, 700).double(), torch.rand(2, 3, 700).double(), torch.full((2, 3), 6.28 * feedback).double()
    gain, g = TAU * feedback / 2 * torch.rand(3, 700).double() - feedback, torch.randn(3, 700).double()
    compiled = algorithms._loop(angle, env, link), algorithms._unroll(gain, g)
    without_numba(monkeypatch)
    settled = algorithms._loop(angle, env, link), algorithms._unroll(gain, g)
    for a, b in zip(compiled, settled): assert (a - b).abs().max() < 1e-9 * (1 + a.abs().max())


# In tune, in range ------------------------------------------------------------------------------

def test_a_minute_stays_in_tune():
    "60 s at 48 kHz in float32, within 0.1 cent: phase at the end against float64."
    synth = FM6Op(48000)
    p = synth.panel.defaults(1)
    for name, value in {"algorithm": 32, "f0_hz": 61.7354126, "note_s": 60, "attack_s": 0.001, "sustain": 1, "decay_s": 0.001}.items(): p[name][:] = value
    n = 60 * 48000
    y = 6 * synth(p, n)[0, -48000:].double().numpy()
    cycles = float(p["f0_hz"].double()) / 48000 * np.arange(n - 48000, n) % 1
    off = np.angle(np.sum(y * np.exp(-2j * np.pi * cycles))) + np.pi / 2  # radians at the end of the minute
    assert abs(off) / (2 * np.pi) / (61.7 * 59.5) * 1200 / np.log(2) < 0.1 and abs(off) < 0.01


def test_an_operator_at_nyquist_is_silent():
    p = patches(1)
    p["algorithm"][:], p["f0_hz"][:], p["ratio"][:] = 32, 1000, torch.tensor([1.0, 2, 3, 7.99, 8.0, 20]).double()
    p["detune_cents"][:] = 0
    synth, quiet = FM6Op(RATE), p | {"level": p["level"] * torch.tensor([1.0, 1, 1, 1, 0, 0]).double()}
    assert torch.equal(synth(p, 300), synth(quiet, 300))
    moving = torch.linspace(900, 1100, 300, dtype=torch.float64)[None]
    assert (synth(p, 300, f0_hz=moving)[0, :100] - synth(quiet, 300, f0_hz=moving)[0, :100]).abs().max() > 0  # 5 sounds while it is below


def test_folding_is_announced_and_oversampling_removes_it():
    synth = FM6Op(RATE)
    p = synth.panel.defaults(1)
    for name, value in {"algorithm": 5, "f0_hz": 2000, "note_s": 10, "attack_s": 0.001, "sustain": 1, "level": 0}.items(): p[name][:] = value
    p["level"][0, :2] = torch.tensor([1.0, 0.5])
    p["ratio"][0, 1] = 1.31
    with pytest.warns(AliasingWarning, match="above 8000 Hz"): worse = synth(p, RATE)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        better = FM6Op(RATE, oversample=4)(p, RATE)[0]
    true = np.zeros(RATE // 2 + 1)
    for k in range(-40, 41):  # sidebands by Bessel: only those that belong below Nyquist
        f = 2000 + 2620 * k
        if abs(f) < RATE / 2: true[abs(f)] = max(true[abs(f)], 1)
    def wrong_db(y):
        power = np.abs(np.fft.rfft(y.numpy()[RATE // 10:] * np.hanning(RATE - RATE // 10), RATE)) ** 2
        near = np.convolve(true, np.ones(41), "same") > 0
        return 10 * np.log10(power[~near][:6500].sum() / power[:6500].sum())
    assert wrong_db(better) < -50 < -30 < wrong_db(worse)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_any_patch_is_finite_and_within_one(seed):
    synth = FM6Op(RATE)
    y = synth(synth.panel.random(4, torch.Generator().manual_seed(seed)), 400)
    assert y.shape == (4, 400) and y.isfinite().all() and y.abs().max() <= 1 + 1e-5


def test_moving_pitch_that_stands_still():
    p = patches(2)
    still = p["f0_hz"][:, None].expand(-1, 600)
    assert (FM6Op(RATE)(p, 600) - FM6Op(RATE)(p, 600, f0_hz=still)).abs().max() < 1e-9


@pytest.mark.parametrize("name", ["cuda", "meta"])
def test_device(name):
    if name == "meta" or not torch.cuda.is_available(): pytest.skip("needs a graphics card")
    p = patches(2)
    there = {key: value.to(name) for key, value in p.items()}
    assert (FM6Op(RATE)(there, 300).cpu() - FM6Op(RATE)(p, 300)).abs().max() < 1e-9


# Pictures and errors ----------------------------------------------------------------------------

DRAWING = dict(vars(algorithms), BLUE=BLUE, ORANGE=ORANGE)  # the chapter draws; the module need not
for cell in json.loads((Path(__file__).parents[1] / "nbs" / "08_algorithms.ipynb").read_text("utf-8"))["cells"]:
    if re.search(r"^def (places|describe|wires|diagram)\(", "".join(cell["source"]), re.M): exec("".join(cell["source"]), DRAWING)
diagram, describe = DRAWING["diagram"], DRAWING["describe"]


@pytest.mark.parametrize("number", ALGORITHMS)
def test_diagram(number):
    import xml.etree.ElementTree as xml
    svg = xml.fromstring(diagram(number))
    at = {int(t.text): (float(t.get("x")), float(t.get("y"))) for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert sorted(at) == [1, 2, 3, 4, 5, 6] and len(set(at.values())) == 6, "six boxes, none on top of another"
    spots = sorted(at.values())
    assert all(abs(a[0] - b[0]) > 30 or abs(a[1] - b[1]) > 30 for a, b in itertools.combinations(spots, 2)), "and none overlaps"
    for source, target in ALGORITHMS[number]["edges"]: assert at[source][1] < at[target][1], "modulators above"
    assert svg.get("role") == "img" and svg.get("aria-label") == describe(number)
    _, _, width, height = map(float, svg.get("viewBox").split())
    numbers = [tuple(map(float, pair)) for path in svg.iter("{http://www.w3.org/2000/svg}path") for pair in re.findall(r"M([\d.]+) ([\d.]+)", path.get("d"))]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in [*at.values(), *numbers])


def test_words():
    assert describe(5) == "Algorithm 5: 2 modulates 1; 4 modulates 3; 6 modulates 5; 6 feeds back into itself; 1, 3 and 5 sound."
    assert describe(16).endswith("1 sounds.") and "4 feeds back into 6" in describe(4)


@pytest.mark.parametrize("number", [0, 33, 5.5, -1])
def test_no_such_algorithm(number):
    p = patches(1)
    p["algorithm"][:] = number
    with pytest.raises(ValueError, match="algorithm: "): FM6Op(RATE)(p, 10)
    with pytest.raises(ValueError, match="algorithm: "): routing_of(number)


@pytest.mark.parametrize("name, value, message", [
    ("ratio", 0.0, "ratio: "), ("ratio", -1.0, "ratio: "), ("ratio", math.nan, "ratio: "), ("attack_s", 0.0, "attack_s: "), ("release_s", -1.0, "release_s: "),
    ("f0_hz", math.inf, "f0_hz: "), ("level", 1.5, "level: "), ("feedback", -0.1, "feedback: ")])
def test_bad_knob(name, value, message):
    p = patches(1)
    p[name] = torch.full_like(p[name], value)
    with pytest.raises(ValueError, match="^" + message): FM6Op(RATE)(p, 10)


@pytest.mark.parametrize("change, message", [
    (lambda p: p.pop("level"), "level: missing"), (lambda p: p.update(cutoff=torch.ones(1)), "cutoff: "), (lambda p: p.update(level=torch.ones(1, 5)), "level: expected"),
    (lambda p: p.update(level=torch.ones(2, 6).double()), "level: expected a batch")])
def test_bad_patch(change, message):
    p = patches(1)
    change(p)
    with pytest.raises(ValueError, match=message): FM6Op(RATE)(p, 10)


@pytest.mark.parametrize("routing, carriers, message", [
    (torch.zeros(1, 6, 6), None, "routing, carriers"), (torch.zeros(1, 6, 5), torch.ones(1, 6), "routing: expected"), (torch.zeros(1, 6, 6), torch.ones(1, 5), "carriers: expected"),
    (torch.full((1, 6, 6), math.nan), torch.ones(1, 6), "routing: "), (torch.zeros(1, 6, 6), torch.zeros(1, 6), "carriers: expected"),
    (torch.zeros(1, 6, 6), -torch.ones(1, 6), "carriers: expected")])
def test_bad_routing(routing, carriers, message):
    with pytest.raises(ValueError, match=message): FM6Op(RATE)(patches(1), 10, routing, carriers)


def test_bad_synth_and_length():
    for rate in (0, -1, math.nan): 
        with pytest.raises(ValueError, match="sample_rate"): FM6Op(rate)
    with pytest.raises(ValueError, match="oversample"): FM6Op(RATE, oversample=0)
    with pytest.raises(ValueError, match="depth"): FM6Op(RATE, depth=0)
    for n in (0, 1.5, -3):
        with pytest.raises(ValueError, match="n_samples"): FM6Op(RATE)(patches(1), n)
    with pytest.raises(ValueError, match="f0_hz"): FM6Op(RATE)(patches(1), 10, f0_hz=torch.ones(1, 9))


# Compiled -----------------------------------------------------------------------------------------

RENDER = """
import hashlib, torch, warnings
from ddsp_book.fm6 import FM6Op
from ddsp_book.listening import musical
from ddsp_book.subtractive import SubtractiveSynth
warnings.simplefilter("ignore")
for synth in FM6Op(16000), SubtractiveSynth(16000):
    draw = torch.Generator().manual_seed(0)
    unit = torch.rand(4, synth.panel.size, generator=draw)
    patch = musical(synth.panel, 4, 220.0, draw) if isinstance(synth, FM6Op) else synth.panel.from_unit(unit)
    patch = {name: value.requires_grad_() for name, value in patch.items()}
    audio = synth(patch, 4000)
    slopes = torch.autograd.grad(audio.square().sum(), list(patch.values()), allow_unused=True)
    for each in (audio, *slopes):
        if each is not None: print(hashlib.sha256(each.detach().numpy().tobytes()).hexdigest())
"""

def test_a_kernel_from_the_cache_gives_the_same_bits_as_one_just_compiled(tmp_path):
    def render(): return subprocess.run([sys.executable, "-c", RENDER], env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True).stdout
    fresh = render()
    assert len(fresh.split()) > 20 and any(tmp_path.rglob("*.nbi"))
    assert render() == fresh
