"AE-DDSP: filters against SciPy, the law against torch's own optimizers, closed forms, any bad feedback, stop and resume."
import csv, math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.adaptive import (Evolve, Feedback, Hearing, Probe, Reward, Scheduler, ae_ddsp, ae_ddsp_step, diversity, dither_law,
                                lyapunov, momentum_law, periodicity, rate_law, resonance, story)
from ddsp_book.audio import DATA
from ddsp_book.machine import Follow, Machine, box, slew
from ddsp_book.spectral import SpectralFeatures, feature_distance

torch.set_num_threads(1)
ODD = st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-38, 0.0, 1.0]) | st.floats(0, 40, width=32)
IDLE = dict(alpha_range=(1, 1), momentum=False)  # a scheduler that changes nothing


def identity(a): return a
def bowl(centre):
    def analysis(signal): return {"cost": (signal - centre).square().sum(-1)}
    return analysis
def plain(start, analysis, scheduler, **settings_):
    return ae_ddsp(start, identity, analysis, scheduler, tests=0, dither=False, **settings_)


# What it goes by ---------------------------------------------------------------------------------

def test_feedback_is_a_low_pass_and_a_variance():
    x = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)).double() + 1
    heard = Feedback()
    out = [heard(row, -row) for row in x]
    low = scipy.signal.lfilter([0.1], [1, -0.9], x, axis=0, zi=0.9 * x[:1].numpy())[0]
    np.testing.assert_allclose(torch.stack([o[0] for o in out])[1:], (low[:-1] - low[1:]) / low[1:], atol=1e-12)
    np.testing.assert_allclose(out[-1][1], np.var(x[-10:].numpy() / low[-1], axis=0))
    np.testing.assert_allclose(torch.stack([o[2] for o in out])[1:], low[:-1] - low[1:], atol=1e-12)


def test_feedback_does_not_hear_what_is_not_a_number():
    x = torch.rand(30, 1, generator=torch.Generator().manual_seed(0)) + 1
    gaps = [5, 6, 7, 20]
    whole, short = Feedback(), Feedback()
    for i, row in enumerate(x):
        got = whole(torch.full_like(row, torch.nan) if i in gaps else row, row)
        if i in gaps: assert got[0] == 0 and got[2] == 0 and not got[3]
        else: assert all(torch.equal(a, b) for a, b in zip(got, short(row, row)))


def test_trend_and_noise_do_not_depend_on_the_unit():
    x = torch.rand(20, 2, generator=torch.Generator().manual_seed(0)).double() + 1
    one, thousand = Feedback(), Feedback()
    for row in x:
        a, b = one(row, row), thousand(1000 * row, row)
        torch.testing.assert_close(a[:2], b[:2])


def test_laws_in_closed_form():
    one = torch.ones(1).double()
    assert rate_law(one, 0 * one).item() == 1.02 and rate_law(-one, 0.2 * one).item() == pytest.approx(0.4)
    assert momentum_law(one, 0.5 * one).item() == 0.02 and momentum_law(0 * one, 0.5 * one).item() == pytest.approx(-0.05)
    yes, no = one > 0, one < 0
    assert dither_law(yes, 0 * one, one, one).item() == pytest.approx(1.1)
    assert dither_law(yes, 0 * one, 0 * one, one).item() == pytest.approx(1.1**0.5)
    assert dither_law(no, 0.01 * one, one, one).item() == 1 and dither_law(yes, 0.21 * one, one, one).item() == pytest.approx(0.55)
    for above in (0.01, 5.0):  # it comes back from either side
        for _ in range(60): above *= dither_law(no, 0 * one, one, above * one).item()
        assert above == pytest.approx(1, rel=0.01)


def test_rate_rises_falls_and_keeps_to_its_bounds():
    s = Scheduler(0.01)
    first = s.update(torch.tensor([10.0]), torch.tensor([0.5]))
    assert first[0].item() == pytest.approx(0.01)  # nothing to compare with yet
    for n in range(1, 5): alpha, mu, _ = s.update(torch.tensor([10.0 - n]), torch.tensor([0.5 + 0.01 * n]))
    assert alpha.item() == pytest.approx(0.01 * 1.02**4) and mu.item() == pytest.approx(0.98)
    for n in range(200): alpha, mu, _ = s.update(torch.tensor([10.0 * 0.99**n]), torch.tensor([0.5 + 0.01 * n]))
    assert alpha.item() == pytest.approx(0.03) and mu.item() == pytest.approx(0.999)
    for n in range(200): alpha, mu, _ = s.update(torch.tensor([10.0 + n]), torch.tensor([-1.0 * n]))
    assert alpha.item() == pytest.approx(0.003) and mu.item() < 1e-3


def test_dither_rises_only_on_a_plateau_and_goes_back():
    s, sigma = Scheduler(), []
    losses = [*(10 * 0.98**n for n in range(40)), *[4.0] * 120, *(4 * 0.97**n for n in range(60))]
    for loss in losses: sigma.append(s.update(torch.tensor([loss]), torch.tensor([0.5]))[2].item())
    assert max(sigma[:40]) <= 1e-3 + 1e-9 and sigma[159] > 3e-3 and sigma[-1] <= 1.05e-3


def test_cosine_envelope():
    s = Scheduler(0.01, alpha_range=(1, 1), cosine=100)
    alpha = [s.update(torch.tensor([1.0]), torch.tensor([1.0]))[0].item() for _ in range(150)]
    np.testing.assert_allclose(alpha[:100], 0.01 * (0.55 + 0.45 * np.cos(np.pi * np.arange(1, 101) / 100)), rtol=1e-6)
    assert alpha[-1] == pytest.approx(0.001)


@settings(max_examples=40)
@given(feedback=st.lists(st.tuples(ODD, ODD, ODD, st.none() | st.floats(0, 1)), min_size=1, max_size=40))
def test_any_feedback_leaves_it_within_its_ranges_and_able_to_go_on(feedback):
    s = Scheduler(0.01)
    def held(out): return all((x.isfinite() & (x >= low - 1e-9) & (x <= high * (1 + 1e-6))).all() for x, (low, high) in zip(out, s.ranges))
    for a, b, r, success in feedback:
        out = s.update(torch.tensor([a, b]), torch.tensor([r, r]), None if success is None else torch.full((2,), success))
        assert held(out)
    for n in range(80): out = s.update(torch.tensor([10.0, 5.0]) * 0.97**n, torch.tensor([0.1, 0.2]) * n)
    assert held(out) and (out[1] > 0.5).all()


@settings(max_examples=40)
@given(begin=st.integers(0, 10), stretch=st.integers(1, 60))
def test_it_stands_still_through_any_silence(begin, stretch):
    s = Scheduler()
    for n in range(begin): before = s.update(torch.tensor([10.0 - 0.1 * n]), torch.tensor([0.5]))
    for _ in range(stretch): after = s.update(torch.tensor([torch.nan]), torch.tensor([torch.inf]))
    if begin: assert all(torch.equal(a, b) for a, b in zip(before, after))
    assert [x.item() for x in s.update(torch.tensor([1.0]), torch.tensor([0.5]))] is not None


# What it hears -----------------------------------------------------------------------------------

def sounds(seed, dtype=torch.float32, n=8000):
    return 0.1 * torch.randn(3, n, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_cost_is_the_distance_of_log_mels_in_db_and_so_is_its_slope():
    target, audio = sounds(0), sounds(1).requires_grad_()
    hear = Hearing(target, 16000)
    features = [SpectralFeatures(n_ffts=(n,), hop_length=n // 4) for n in (1024, 4096)]
    far = sum(feature_distance(f(hear.gain * audio), f(hear.gain * target)) for f in features) * 5 / math.log(10)
    torch.testing.assert_close(hear(audio)["cost"], far)
    ours, theirs = (torch.autograd.grad(x.sum(), audio)[0] for x in (hear(audio)["cost"], far))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


def test_slope_of_the_cost_in_float64():
    hear = Hearing(sounds(0, torch.float64, 600), 16000, (512,))
    where = torch.zeros(3, 600, dtype=torch.float64)
    direction = sounds(2, torch.float64, 600)
    def along(x): return hear(sounds(1, torch.float64, 600) + where + x[:, None] * direction)["cost"]
    assert torch.autograd.gradcheck(along, torch.zeros(3, dtype=torch.float64, requires_grad=True), eps=1e-7, atol=1e-3, rtol=1e-4)


def test_reward_is_one_for_the_target_and_less_for_others():
    target = sounds(0)
    hear = Hearing(target, 16000)
    same, other = hear(target), hear(torch.sin(torch.arange(8000) / 5).repeat(3, 1))
    torch.testing.assert_close(same["reward"], torch.ones(3), atol=1e-4, rtol=0)
    assert (other["reward"] < 0.6).all() and (other["reward"] >= 0).all() and same["cost"].abs().max() < 1e-3
    rms_db = 20 * np.log10(target.square().mean(1).sqrt().numpy())
    np.testing.assert_allclose(same["level_db"], rms_db, atol=1e-4)
    assert (hear(torch.full((3, 8000), torch.nan))["reward"].nan_to_num(-1) <= 1).all()


def test_several_sounds_for_each_target():
    target, audio = sounds(0), torch.cat([sounds(k)[:, None] for k in (1, 2)], 1).flatten(0, 1)
    both = Hearing(target, 16000)(audio)["cost"].view(3, 2)
    for k in (0, 1): torch.testing.assert_close(both[:, k], Hearing(target, 16000)(sounds(k + 1))["cost"])


def test_resonance_periodicity_diversity_in_closed_form():
    t = torch.arange(17.0)
    line, zigzag = t[:, None, None].repeat(1, 2, 3), (t % 2)[:, None, None].repeat(1, 2, 3)
    torch.testing.assert_close(resonance(line), torch.ones(2))
    torch.testing.assert_close(resonance(zigzag), -torch.ones(2))
    circle = torch.stack([torch.cos(2 * torch.pi * t / 8), torch.sin(2 * torch.pi * t / 8)], 1)[:, None]
    torch.testing.assert_close(resonance(circle), torch.tensor([math.cos(2 * math.pi / 8)]))
    walk = torch.randn(4000, 1, 4, generator=torch.Generator().manual_seed(0)).cumsum(0)
    assert resonance(walk).abs() < 0.05 and periodicity(walk) < 0.1
    long = torch.arange(64.0)
    wave = torch.sin(2 * torch.pi * long / 4)[:, None, None]
    assert periodicity(wave) > 0.9 and periodicity(line).abs().max() < 1e-5
    assert diversity(0 * line).abs().max() == 0 and diversity(line).min() > 0.99
    still = torch.zeros(17, 2, 3)
    assert resonance(still).isfinite().all() and periodicity(still).isfinite().all()


def test_lyapunov_is_the_exponent():
    loss = torch.exp(-0.03 * torch.arange(50.0))[:, None].repeat(1, 2)
    torch.testing.assert_close(lyapunov(loss, 10), torch.full((40, 2), -0.03), atol=1e-6, rtol=0)


@settings(max_examples=40)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=24, max_size=24), sound=st.floats(0, 1), level=st.floats(-120, 60))
def test_the_composite_reward_is_bounded(values, sound, level):
    path = torch.tensor(values).view(8, 1, 3).clamp(0, 1)
    heard = {"cost": torch.ones(1), "reward": torch.tensor([sound]), "level_db": torch.tensor([level])}
    reward = Reward()(heard, torch.tensor(values[:3])[None], path)
    assert -0.5 - 1e-6 <= reward.item() <= 1 + 1e-6


def test_penalties_for_loud_and_hasty():
    quiet, loud = ({"cost": torch.ones(1), "reward": torch.ones(1), "level_db": torch.tensor([x])} for x in (-20.0, 6.0))
    still, hasty = torch.zeros(4, 1, 2), torch.tensor([0.0, 0, 0, 0.5])[:, None, None].repeat(1, 1, 2)
    drive = torch.ones(1, 2)
    assert Reward()(quiet, drive, still) - Reward()(loud, drive, still) == pytest.approx(0.25)
    assert Reward(1, 0, 0)(quiet, drive, still) - Reward(1, 0, 0)(quiet, drive, hasty) == pytest.approx(0.25)


# The loop ----------------------------------------------------------------------------------------

def test_with_nothing_to_adapt_it_is_torchs_adam_and_sgd():
    start, centre = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)), 0.4
    ours = plain(start, bowl(centre), Scheduler(0.02, **IDLE)).run(40, progress=False)
    theirs = Machine(start, identity, bowl(centre), Follow(lr=0.02, betas=(0.9, 0.99)), [box()]).run(40, progress=False)
    torch.testing.assert_close(ours.coefficients, theirs.coefficients, atol=1e-5, rtol=0)
    ours = plain(start, bowl(centre), Scheduler(0.02, mu=0.0, **IDLE), scaled=False).run(40, progress=False)
    theirs = Machine(start, identity, bowl(centre), Follow(torch.optim.SGD, lr=0.02), [box()]).run(40, progress=False)
    torch.testing.assert_close(ours.coefficients, theirs.coefficients)


def test_rows_adapt_for_themselves():
    start, centre = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)), torch.linspace(0.1, 0.9, 5)[:, None]
    together = plain(start, bowl(centre), Scheduler()).run(50, progress=False)
    alone = plain(start[2:3], bowl(centre[2:3]), Scheduler()).run(50, progress=False)
    torch.testing.assert_close(together.coefficients[2:3], alone.coefficients)
    assert together.update.history("alpha")[-1].unique().numel() > 1


def test_dither_is_a_share_of_the_rms_of_the_knobs():
    start = torch.full((4000, 3), 0.5)
    machine = ae_ddsp(start, identity, lambda a: {"cost": (0 * a).sum(1) + 1}, Scheduler(0.01, sigma=0.01), tests=0)
    machine.step()
    assert (machine.coefficients - start).std().item() == pytest.approx(0.01 * 0.501, rel=0.03)


def test_tests_are_sparse_counted_and_averaged_in():
    machine = ae_ddsp(torch.full((3, 2), 0.5), identity, bowl(0.2), Scheduler(1e-9, sigma=0.01), tests=6, every=4, dither=False)
    counts = []
    for step in range(12):
        before = machine.coefficients.detach().clone()
        machine.step()
        counts.append(len(machine.log[-1]["cost"]) // 3)
        probe = machine.drive
        if counts[-1] == 1: assert probe.found is None
        else:
            cost = bowl(0.2)(probe.tried.detach())["cost"]
            assert torch.equal(probe.success, (cost[:, 1:] < cost[:, :1]).float().mean(1))
            best = probe.tried.detach()[torch.arange(3), cost.argmin(1)]
            torch.testing.assert_close(machine.coefficients, torch.lerp(before, best, 0.2), atol=1e-6, rtol=0)
    assert counts == [1, 1, 1, 7] * 3


def test_a_step_returns_what_happened_and_the_loop_arrives():
    machine = ae_ddsp(torch.rand(6, 4, generator=torch.Generator().manual_seed(2)), identity, bowl(0.3))
    out = ae_ddsp_step(machine)
    assert [x.shape for x in out] == [(6,)] * 5 and out[2].tolist() == pytest.approx([0.05] * 6)
    machine.run(150, progress=False)
    assert machine.lowest.max() < 1e-3 and "row 5: 151 steps, 0 without a loss" in story(machine.update)


@settings(max_examples=25)
@given(days=st.lists(st.sampled_from(["nan", "inf", "flat", "fine", "huge"]), min_size=1, max_size=30), constant=st.booleans())
def test_any_weather(days, constant):
    "Losses that are no numbers, no slope, a slope beyond measure, a reward that never changes."
    weather = iter(days + ["fine"] * 40)
    def analysis(a):
        day, cost = next(weather), (a - 0.3).square().sum(-1)
        cost = {"nan": cost * torch.nan, "inf": cost / 0, "flat": 0 * cost + 1, "fine": cost, "huge": 1e30 * cost}[day]
        return {"cost": cost, "reward": torch.ones_like(cost.detach()) if constant else (-cost.detach()).exp()}
    machine = ae_ddsp(torch.full((2, 3), 0.9), identity, analysis, tests=2, every=3, safety=[box(), slew(0.2)])
    machine.run(len(days) + 40, progress=False)
    path = torch.cat([machine.update.history("coefficients"), machine.coefficients[None]])
    assert path.isfinite().all() and path.min() >= 0 and path.max() <= 1 and path.diff(dim=0).abs().max() <= 0.2 + 1e-6
    for name, (low, high) in zip(("alpha", "mu", "sigma"), machine.update.scheduler.ranges):
        x = machine.update.history(name)
        assert x.isfinite().all() and x.min() >= low - 1e-7 and x.max() <= high + 1e-7
    assert machine.lowest.max() < 0.36 * 3  # and it has gone on


@pytest.mark.parametrize("stop", [0, 3, 17])
def test_resume_is_exact(stop, tmp_path):
    def make(): return ae_ddsp(torch.full((2, 3), 0.8), identity, bowl(0.2), every=4)
    whole, first, second = make().run(30, progress=False), make().run(stop, progress=False), make()
    first.save(tmp_path / "m.pt")
    second.load(tmp_path / "m.pt")
    second.run(30 - stop, progress=False)
    assert torch.equal(whole.coefficients, second.coefficients)
    for name in ("cost", "alpha", "mu", "sigma", "reward"): assert torch.equal(whole.update.history(name), second.update.history(name))


def test_bad_input_is_refused_at_the_door():
    with pytest.raises(ValueError, match="target.*batch, samples"): Hearing(torch.zeros(8000), 16000)
    with pytest.raises(ValueError, match="target.*silent"): Hearing(torch.zeros(2, 8000), 16000)
    with pytest.raises(ValueError, match="target.*NaN"): Hearing(torch.full((1, 8000), torch.nan), 16000)
    with pytest.raises(ValueError, match="alpha"): Scheduler(-1.0)
    with pytest.raises(ValueError, match="mu"): Scheduler(mu=1.5)
    with pytest.raises(ValueError, match="sigma"): Scheduler(sigma=1.0)
    with pytest.raises(ValueError, match="patience"): Scheduler(patience=0)
    with pytest.raises(ValueError, match="every"): Probe(every=0)
    with pytest.raises(ValueError, match="tests"): Probe(tests=-1)
    with pytest.raises(ValueError, match="audio"): Hearing(sounds(0), 16000)(sounds(1)[:2])
    with pytest.raises(ValueError, match="coefficients.*safety"): ae_ddsp([[1.5]], identity, bowl(0.2))


# The study ---------------------------------------------------------------------------------------

RESULTS = DATA / "results" / "adaptive.csv"


@pytest.mark.skipif(not RESULTS.exists(), reason="the full race has not been run: python tests/make_adaptive.py")
def test_results_are_complete():
    rows = list(csv.DictReader(open(RESULTS, encoding="utf-8")))
    methods = {row["method"] for row in rows}
    assert {"SGD", "SGD + momentum", "Adam", "Adam + plateau", "Adam, 2 starts", "CMA-ES", "AE-DDSP"} <= methods and len(methods) >= 11
    keys = {(row["synth"], row["target"], row["seed"]) for row in rows}
    assert len(keys) == 72
    for method in methods:
        of = [row for row in rows if row["method"] == method]
        assert {(row["synth"], row["target"], row["seed"]) for row in of} == keys and len(of) == 72
        assert all(0 < float(row["at_200"]) <= float(row["at_25"]) <= 1e6 for row in of)
    starts = {}
    for row in rows: assert starts.setdefault((row["synth"], row["target"], row["seed"]), row["start"]) == row["start"]
