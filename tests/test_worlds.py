"The machine elsewhere: the plant against scipy, training against torch's own loop, gains that stay in their box whatever the plant does."
import csv
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.audio import DATA
from ddsp_book.machine import Machine, box, descend, multiply
from ddsp_book.worlds import (PID, Bold, Course, Plant, Progress, Shares, Training, film, fresh_weights, network, overshoot, score,
                              settling_time_s)

torch.set_num_threads(1)
START = torch.tensor([2.5, 10.0, 0.25])


def robot(plant, rate=0.01):
    return Machine(START.expand(plant.batch, 3), PID(plant, limit=10), Course(), multiply(rate), [box(START / 20, START * 20)], Shares())


def inside(machine):
    gains = torch.cat([machine.history("coefficients"), machine.coefficients.detach()[None]]) / START
    return gains.isfinite().all() and gains.min() >= 1 / 20 - 1e-6 and gains.max() <= 20 + 1e-4


# Plant and PID ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("m, c, k, delay", [(0.1, 0.2, 1.0, 1), (0.03, 0.5, 2.0, 4), (1.0, -0.1, 0.5, 2), (0.2, 0.0, 0.0, 3)])
def test_plant_is_scipys(m, c, k, delay):
    force = np.random.default_rng(0).normal(size=400)
    system = scipy.signal.cont2discrete((np.array([[0, 1], [-k / m, -c / m]]), np.array([[0], [1 / m]]), np.array([[1, 0]]), np.zeros((1, 1))), 0.005)
    _, wanted, _ = scipy.signal.dlsim(system, np.append(np.zeros(delay), force)[:400])
    plant = Plant(*(torch.tensor([v], dtype=torch.float64) for v in (m, c, k)), delay=delay)
    got = [plant(torch.tensor([f], dtype=torch.float64)).item() for f in force]
    np.testing.assert_allclose(got[:-1], wanted[1:, 0], atol=1e-9)


def test_plant_has_gradients():
    def where(m, c, k, force):
        plant = Plant(torch.ones(2, dtype=torch.float64), torch.ones(2), torch.ones(2), tick_s=0.05, delay=1)
        plant.change(m, c, k)
        return torch.stack([plant(f) for f in force])
    g = torch.Generator().manual_seed(0)
    inputs = [(0.5 + torch.rand(2, generator=g, dtype=torch.float64)).requires_grad_() for _ in range(3)]
    force = torch.randn(4, 2, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(where, (*inputs, force))


def test_pid_is_the_closed_loop_of_the_textbook():
    "With short ticks, a slow derivative filter's bandwidth far away, and no limit in sight: scipy's step response of PC / (1 + PC)."
    m, c, k, (kp, ki, kd), tick_s = 0.1, 0.5, 1.0, (4.0, 6.0, 0.5), 0.0002
    plant = Plant(*(torch.tensor([v], dtype=torch.float64) for v in (m, c, k)), tick_s=tick_s, delay=1)
    pid, gains = PID(plant, limit=1e9, smooth_s=tick_s), torch.tensor([[kp, ki, kd]], dtype=torch.float64)
    got = [pid(gains, torch.tensor(1.0, dtype=torch.float64))[0, 1].item() for _ in range(10000)]
    t, wanted = scipy.signal.step(([kd, kp, ki], [m, c + kd, k + kp, ki]), T=tick_s * np.arange(1, 10001))
    assert np.abs(np.array(got) - wanted).max() < 0.02 and abs(got[-1] - wanted[-1]) < 1e-3


def test_proportional_alone_stays_short_of_the_goal():
    pid = PID(Plant([0.2], [2.0], [1.0]), limit=100)
    for _ in range(4000): y = pid(torch.tensor([[3.0, 0.0, 0.0]]), torch.ones(1))[0, 1]
    assert abs(y.item() - 3 / 4) < 1e-4  # kp / (kp + k)


@settings(max_examples=30, deadline=None)
@given(seen=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32) | st.sampled_from([float("nan"), 1e38, -1e38]), min_size=1, max_size=40),
       gains=st.lists(st.floats(0, 1e4, width=32), min_size=3, max_size=3))
def test_whatever_the_sensor_says_force_and_integral_stay_within_the_limit(seen, gains):
    pushed, answers = [], iter(seen)
    class Wild:
        batch, tick_s, state = 1, 0.005, torch.zeros(1, 2)
        def __call__(self, force): pushed.append(force); return torch.tensor([next(answers)])
    pid = PID(Wild(), limit=2.0)
    for _ in seen: pid(torch.tensor([gains]), torch.tensor([0.5]))
    force = torch.cat(pushed)
    assert force.isfinite().all() and force.abs().max() <= 2 and pid.integral.abs().max() <= 2


def test_windup_is_what_it_prevents():
    found = {}
    for windup in (True, False):
        pid = PID(Plant([0.2], [0.8], [1.0]), limit=1.2, windup=windup)
        y = torch.stack([pid(torch.tensor([[10.0, 15.0, 3.0]]), goal)[0, 1] for goal in score([1.0], 6.0)])
        found[windup] = overshoot(y, 0.0, 1.0)
    assert found[True] > 0.1 and found[False] < 0.05


def test_bumpless():
    "Where the error is 0, a gain that jumps does not move the force."
    pid = PID(Plant([0.1], [1.0], [1.0]), limit=10)
    for _ in range(4000): pid(torch.tensor([[2.0, 5.0, 0.1]]), torch.ones(1))
    after = [pid(torch.tensor([[4.0, 50.0, 0.4]]), torch.ones(1))[0, 1].item() for _ in range(200)]
    assert np.abs(np.array(after) - 1).max() < 1e-3


# Course and shares --------------------------------------------------------------------------------------------------------

def test_course_is_a_delayed_one_pole():
    goal = torch.randn(200, generator=torch.Generator().manual_seed(0))
    course = Course(0.08, 0.005, delay=5)
    got = [-course(torch.tensor([[g, 0.0, 0.0]]))["miss"].item() for g in goal]
    wanted = scipy.signal.lfilter([0.0625], [1, -0.9375], np.append(np.zeros(5), goal)[:200])
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_shares_add_up_to_the_error_seen_through_the_course():
    shares, wanted = Shares(), 0.0
    for e in torch.randn(100, 3, generator=torch.Generator().manual_seed(0)):
        shares({"error": e, "miss": e, "limited": 0 * e}, START.expand(3, 3))
        wanted = wanted + 0.05 * (e - wanted)
        torch.testing.assert_close(shares.shares.sum(1), wanted, atol=1e-5, rtol=1e-4)


def test_shares_are_the_slopes_of_the_position_over_the_gains():
    "On a plant that follows its course, against finite differences of what the plant really does with other gains."
    slide = dict(mass=[0.025] * 7, friction=[0.25] * 7, spring=[1.0] * 7)
    factors = torch.ones(7, 3)
    for j in range(3): factors[1 + 2 * j, j], factors[2 + 2 * j, j] = 1.02, 0.98
    pid, course, shares = PID(Plant(**slide), 1e9), Course(), Shares()
    found, real = [], []
    for goal in score([1, -1, 1], 1.0):
        features = course(pid(START * factors, goal))
        shares(features, START.expand(7, 3))
        y = features["position"]
        found.append(shares.shares[0])
        real.append((y[1::2] - y[2::2]) / 0.04)
    found, real = torch.stack(found), torch.stack(real)
    for j in range(3): assert torch.cosine_similarity(found[:, j], real[:, j], dim=0) > 0.8, j


# Measures -----------------------------------------------------------------------------------------------------------------

@settings(max_examples=15, deadline=None)
@given(zeta=st.floats(0.1, 0.9), omega=st.floats(3, 12))
def test_overshoot_and_settling_of_the_textbook(zeta, omega):
    t = 0.002 * np.arange(8000) / omega * 3
    _, y = scipy.signal.step(([omega**2], [1, 2 * zeta * omega, omega**2]), T=t)
    y = torch.tensor(y)
    assert abs(overshoot(y, 0.0, 1.0).item() - math.exp(-math.pi * zeta / math.sqrt(1 - zeta**2))) < 1e-4
    wanted = max((k + 1 for k in range(len(y)) if abs(y[k] - 1) > 0.05), default=0)
    assert settling_time_s(y, 1.0, 0.05, t[1]).item() == pytest.approx(t[1] * wanted)


def test_measures_at_the_edges():
    flat, never, blind = torch.ones(1, 10), torch.zeros(1, 10), torch.full((1, 10), torch.nan)
    assert settling_time_s(torch.cat([flat, never, blind]), 1.0, 0.1, 0.1).tolist() == pytest.approx([0, 1, 1])
    assert overshoot(torch.tensor([[0.0, -1.5, -1.0]]), torch.tensor([[1.0]]), torch.tensor([[-1.0]])).item() == 0.25


def test_score_glides():
    goals = score([1.0, -1.0], 0.5, glide_s=0.06)
    assert len(goals) == 200 and abs(goals[99] - 1) < 1e-3 and abs(goals[-1] + 1) < 1e-3
    assert (goals[:100].diff() >= 0).all() and (goals[99:].diff() <= 0).all() and goals[0] > 0
    assert score(torch.ones(2, 3), 0.5).shape == (200, 3)


# The controller -----------------------------------------------------------------------------------------------------------

def test_learning_beats_its_own_fixed_gains_on_changing_plants():
    g = torch.Generator().manual_seed(7)
    def between(low, high, *shape): return low * (high / low) ** torch.rand(*shape, generator=g)
    omega, damping, stiff = between(4, 10, 24), between(0.4, 1.2, 24), between(0.5, 2, 24)
    before = torch.stack([stiff / omega**2, 2 * damping * stiff / omega, stiff])
    after, found = before * between(1 / 4, 4, 3, 24), {}
    for rate in (0.0, 0.01):
        plant = Plant(*before)
        machine = robot(plant)
        for goal in score([1, -1] * 3, start=-1): machine.step(goal)
        plant.change(*after)
        machine.update = multiply(rate)
        for goal in score([1, -1] * 4, start=-1): machine.step(goal)
        y = machine.history("position").T.view(24, 14, 200)[:, -2:]
        goals = torch.tensor([[1.0], [-1.0]])
        found[rate] = settling_time_s(y, goals, 0.1).mean(1), overshoot(y, -goals, goals).mean(1)
        assert inside(machine)
    (fixed_s, fixed_over), (learned_s, learned_over) = found.values()
    assert (learned_s < fixed_s).float().mean() >= 0.75 and learned_s.median() < 0.7 * fixed_s.median()
    assert learned_over.quantile(0.75) < fixed_over.quantile(0.75)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), c=st.lists(st.floats(-100, 100), min_size=4, max_size=4), k=st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4),
       blind=st.integers(0, 150))
def test_gains_stay_in_their_box_on_plants_that_diverge(seed, c, k, blind):
    plant = Plant([0.01, 0.1, 1.0, 0.03], c, k)
    class Sensor:
        batch, tick_s, state, tick = 4, plant.tick_s, plant.state, 0
        def __call__(self, force):
            self.tick += 1
            return plant(force) if not blind <= self.tick < blind + 60 else torch.full((4,), (torch.nan, torch.inf, -torch.inf)[seed % 3])
    machine = robot(Sensor(), rate=0.1)
    for goal in torch.randn(220, generator=torch.Generator().manual_seed(seed)): machine.step(goal)
    assert inside(machine) and machine.history("lost")[blind:blind + 59].all()


def test_a_repaired_plant_is_held_again_and_neighbours_do_not_notice():
    usual = dict(mass=[0.03] * 2, friction=[0.25] * 2, spring=[1.0] * 2)
    plant = Plant([0.03] * 2, [-40.0, 0.25], [-900.0, 1.0])
    machine, alone = robot(plant), robot(Plant([0.03], [0.25], [1.0]))
    for goal in score([1, -1] * 2): machine.step(goal), alone.step(goal)
    torch.testing.assert_close(machine.history("position")[:, 1], alone.history("position")[:, 0])
    plant.change(**usual)
    plant.state = torch.zeros(2, 2)
    for goal in score([1, -1] * 3, start=-1): machine.step(goal)
    y = machine.history("position").T.view(2, -1, 200)[:, -1]
    assert (settling_time_s(y, -1.0, 0.1) < 0.8).all() and inside(machine)


def test_resume_is_exact(tmp_path):
    goals = score([1, -1] * 2, 0.5)
    whole, first, second = (robot(Plant([0.03], [0.2], [1.0])) for _ in range(3))
    for goal in goals: whole.step(goal)
    for goal in goals[:170]: first.step(goal)
    first.save(tmp_path / "m.pt")
    second.load(tmp_path / "m.pt")
    for goal in goals[170:]: second.step(goal)
    assert torch.equal(whole.coefficients, second.coefficients) and torch.equal(whole.history("position"), second.history("position"))


# Training -----------------------------------------------------------------------------------------------------------------

WIDTHS = (2, 5, 1)
X = torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
Y = (X[:, 0] * X[:, 1]).tanh()


def loss(weights, which): return (network(weights, X.to(weights)[which], WIDTHS) - Y.to(weights)[which]).square().mean(-1)


def coefficients(*alphas, mu=0.9, sigma=0.0): return torch.tensor([[a, 1 - mu, sigma] for a in alphas])


def trainer(alphas, rates=(0.3, 0.0, 0.0), seed=0, loss=loss, minibatch=8, window=10):
    training = Training(loss, fresh_weights(len(alphas), seed, WIDTHS), 40, window, minibatch, seed)
    safety = [box(torch.tensor([1e-6, 0.01, 0.0]), torch.tensor([10.0, 1.0, 0.1]))]
    return Machine(coefficients(*alphas, sigma=1e-3 if rates[2] else 0.0), training, Progress(), multiply(torch.tensor(rates)), safety, Bold())


def test_network_is_torchs():
    weights = fresh_weights(1, 0)[0]
    layers, at = [], 0
    for a, b in ((2, 24), (24, 24), (24, 1)):
        layer = torch.nn.Linear(a, b)
        block = weights[at:at + (a + 1) * b].view(a + 1, b)
        layer.weight.data, layer.bias.data, at = block[:-1].T, block[-1], at + (a + 1) * b
        layers += [layer, torch.nn.Tanh()]
    torch.testing.assert_close(network(weights[None], X)[0], torch.nn.Sequential(*layers[:-1])(X)[:, 0])


@pytest.mark.parametrize("minibatch", [None, 8])
def test_a_window_is_torchs_own_sgd(minibatch):
    start, c = fresh_weights(3, 0, WIDTHS), coefficients(0.01, 0.05, 0.2)
    training = Training(loss, start, 40, 25, minibatch, seed=4)
    training(c)
    g = torch.Generator().manual_seed(4)
    own = [row[None].clone().requires_grad_() for row in start]
    optimizer = torch.optim.SGD([{"params": [p], "lr": lr.item()} for p, lr in zip(own, c[:, 0])], lr=1.0, momentum=0.9)
    for _ in range(25):
        which = torch.randint(40, (8,), generator=g) if minibatch else torch.arange(40)
        optimizer.zero_grad()
        loss(torch.cat(own), which).sum().backward()
        optimizer.step()
    torch.testing.assert_close(training.weights, torch.cat(own).detach(), atol=1e-5, rtol=1e-4)


def test_the_hypergradient_is_exact():
    start = fresh_weights(2, 0, WIDTHS).double()
    def after(c): return Training(loss, start, 40, 4, 8, seed=1, through=True)(c)[:, 1]
    c = torch.tensor([[0.05, 0.1, 1e-3], [0.2, 0.5, 1e-2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(after, (c,))
    (slope,) = torch.autograd.grad(after(c).sum(), c)
    torch.testing.assert_close(descend({"cost": after(c)}, c), -slope)


def test_a_window_that_explodes_is_taken_back():
    machine = trainer((1e-3, 10.0), rates=(0.0, 0.0, 0.0), minibatch=None)
    before = machine.synthesis.weights.clone()
    machine.step()
    assert machine.log[-1]["failed"].tolist() == [False, True] and torch.equal(machine.synthesis.weights[1], before[1])
    assert not torch.equal(machine.synthesis.weights[0], before[0]) and (machine.synthesis.mean[1] == 0).all()


def test_bold():
    bold, c = Bold(most=3), torch.ones(1, 3)
    def ask(fell, failed=False): return bold({"fell": torch.tensor([fell]), "failed": torch.tensor([failed])}, c)[0, 0].item()
    assert [ask(0.1) for _ in range(5)] == [1, 2, 3, 3, 3]
    assert [ask(-0.1), ask(0.1), ask(0.1), ask(-2.0, True), ask(-math.inf, True), ask(0.1)] == [-1, 1, 1, -3, -3, 1]
    assert math.isnan(ask(math.nan))


@settings(max_examples=25, deadline=None)
@given(bad=st.lists(st.sampled_from(["ok", "nan", "inf", "zero", "huge"]), min_size=1, max_size=25), rates=st.sampled_from([(0.3, 0, 0), (0.3, -0.1, -0.3), (3.0, 3.0, 3.0)]))
def test_rates_stay_in_their_box_for_any_loss(bad, rates):
    now = {"nan": torch.nan, "inf": torch.inf, "zero": 0.0, "huge": 1e30, "ok": 1.0}
    state = {"kind": "ok"}
    def odd(weights, which): return loss(weights, which) * now[state["kind"]]
    machine = trainer((1e-3, 1.0), rates, loss=odd, window=2)
    for state["kind"] in bad:
        machine.step()
        a = machine.coefficients
        assert a.isfinite().all() and (a >= torch.tensor([1e-6, 0.01, 0.0]) * (1 - 1e-6)).all() and (a <= torch.tensor([10.0, 1.0, 0.1]) * (1 + 1e-6)).all()
        assert machine.synthesis.weights.isfinite().all() and machine.synthesis.mean.isfinite().all()


def test_it_goes_on_after_losses_that_were_not_numbers():
    state = {"bad": False}
    def odd(weights, which): return loss(weights, which) * (torch.nan if state["bad"] else 1.0)
    machine = trainer((0.05,) * 5, loss=odd)
    for k in range(60):
        state["bad"] = 10 <= k < 25
        machine.step()
    lost, cost = machine.history("lost"), machine.history("cost")
    assert lost[10:25].all() and not lost[25:].any() and (cost[-1] < cost[9]).all()


def test_every_start_ends_at_about_the_same_rate_and_as_low_as_the_best_sgd():
    rates = torch.logspace(-4, -1, 4)
    machine = trainer(rates.repeat(5).tolist(), minibatch=None, window=20).run(60, progress=False)
    final = loss(machine.synthesis.weights, torch.arange(40)).view(5, 4).median(0).values
    grid = torch.tensor([0.01, 0.03, 0.1, 0.2, 0.4, 0.8])
    weights = fresh_weights(20, 0, WIDTHS).view(5, 4, 1, -1).expand(5, 4, 6, -1).reshape(120, -1)
    tuned = Training(loss, weights, 40, 1200)
    tuned(torch.stack([grid.repeat(20), torch.ones(120), torch.zeros(120)], 1))
    best = loss(tuned.weights, torch.arange(40)).view(20, 6).median(0).values.min()
    assert (final < 1.1 * best).all()
    assert machine.coefficients[:, 0].log10().std() < 0.5


def test_training_resumes_exactly(tmp_path):
    whole, first, second = (trainer((1e-3, 0.1), (0.3, -0.1, -0.3)) for _ in range(3))
    whole.run(14, progress=False), first.run(6, progress=False).save(tmp_path / "m.pt")
    second.load(tmp_path / "m.pt")
    second.run(8, progress=False)
    assert torch.equal(whole.coefficients, second.coefficients) and torch.equal(whole.synthesis.weights, second.synthesis.weights)


def test_the_study_says_what_the_chapter_says():
    medians = {}
    for row in csv.DictReader(open(DATA / "results" / "worlds.csv", encoding="utf-8")):
        medians.setdefault((row["task"], row["method"]), {}).setdefault(row["rate"], []).append(float(row["loss"]))
    medians = {key: [np.median(v) for v in rates.values()] for key, rates in medians.items()}
    tasks = {task for task, _ in medians}
    assert len(tasks) == 6
    ratio = {task: np.array(medians[task, "machine"]) / min(medians[task, "SGD"]) for task in tasks}
    assert all(np.median(r) <= 1.1 for r in ratio.values()) and {task for task, r in ratio.items() if r.max() > 1} <= {"spirals, 32"}


# The film -----------------------------------------------------------------------------------------------------------------

def test_film_is_one_picture_with_words_that_can_stand_still():
    shown = film({"a <b>": torch.zeros(100), "c": torch.linspace(-9, 9, 100)}, torch.ones(100), "Two slides & a mark", (0.2, "now"))
    figure = ET.fromstring(shown.html.replace('type="checkbox"', 'type="checkbox" x="1"').replace('"> <label', '"/> <label'))
    svg = figure.find("svg")
    assert svg.get("role") == "img" and svg.get("aria-label") == "Two slides & a mark" and "a <b>" in [t.text for t in svg.iter("text")]
    assert "prefers-reduced-motion" in shown.html and ":checked" in shown.html and "<script" not in shown.html and "http" not in shown.html
    assert "currentColor" in shown.html and repr(shown) == "Moving picture: Two slides & a mark" and len(shown.html) < 20_000
    other = film({"a": torch.zeros(100)}, torch.zeros(100), "Two slides & a mark")
    assert figure.find("input").get("id") not in other.html  # two on a page do not share their styles


# At the door --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call, word", [
    (lambda: Plant([0.0], [1.0], [1.0]), "mass"), (lambda: Plant([1.0], [1.0, 2.0], [1.0]), "friction"), (lambda: Plant([1.0], [1.0], [math.nan]), "spring"),
    (lambda: Plant([1.0], [1.0], [1.0], delay=0), "delay"), (lambda: Plant([1.0], [1.0], [1.0]).change([-1.0], [1.0], [1.0]), "mass"),
    (lambda: PID(Plant([1.0], [1.0], [1.0]), limit=0), "limit"), (lambda: PID(Plant([1.0], [1.0], [1.0]), 1)(torch.ones(1, 3), torch.tensor(math.nan)), "goal"),
    (lambda: PID(Plant([1.0], [1.0], [1.0]), 1)(torch.ones(1, 3), torch.zeros(1, 2)), "goal"),
    (lambda: Course(delay=0), "delay"), (lambda: score([]), "notes"), (lambda: score([1.0], note_s=0.0), "note_s"),
    (lambda: Training(loss, torch.zeros(4), 40), "weights"), (lambda: Training(loss, torch.zeros(1, 4), 0), "examples"),
    (lambda: Training(loss, torch.zeros(1, 4), 40, window=2.5), "window"), (lambda: Training(loss, torch.zeros(1, 4), 40, minibatch=-1), "minibatch"),
    (lambda: Bold(most=0), "most"), (lambda: film({"a": torch.full((5,), torch.nan)}, torch.zeros(5), "alt"), "a"), (lambda: film({}, torch.zeros(0), "alt"), "goal")])
def test_bad_input_is_refused_at_the_door(call, word):
    with pytest.raises((ValueError, TypeError), match=word): call()
