"Rewards against closed forms and autograd; tastes against brute force; listeners who help, contradict, stop and go on."
import csv, json, math
from collections import defaultdict
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.audio import DATA
from ddsp_book.fm6 import FM6Op
from ddsp_book.machine import Explore, Follow, Machine, box
from ddsp_book.page import Shown
from ddsp_book.preference import Compare, Macros, Reinforce, Taste, by_ear, listen, piano_macros, prefer, spread_out


# --- policy gradient ---------------------------------------------------------------------------------

def test_the_drive_is_the_reward_times_the_gradient_of_the_log_policy():
    "Autograd on torch's own normal distribution."
    a = torch.rand(5, 3, dtype=torch.float64, requires_grad=True)
    law = Reinforce(0.2, remember=None)
    tried = law.explore(a, lambda new, old, features: new)
    cost = torch.randn(5, dtype=torch.float64)
    torch.distributions.Normal(a, 0.2).log_prob(tried).sum(1).mul(-cost).sum().backward()
    torch.testing.assert_close(law({"cost": cost}, a), a.grad)

def test_on_average_it_is_the_gradient_of_what_the_policy_earns():
    "For a quadratic reward the gradient is known: -2 (a - c)."
    a, c = torch.tensor([[0.2, 0.7]]).double(), torch.tensor([0.5, 0.4]).double()
    many = a.repeat(200_000, 1)
    law = Reinforce(0.1, remember=None)
    tried = law.explore(many, lambda new, old, features: new)
    usual = (a - c).square().sum()
    got = law({"cost": (tried - c).square().sum(1) - usual}, many).mean(0)
    torch.testing.assert_close(got, 2 * (c - a)[0], atol=0.02, rtol=0)

def test_a_constant_reward_moves_nothing():
    machine = Machine(torch.full((3, 2), 0.5), lambda a: a, lambda s: {"cost": torch.full((3,), -7.0)}, Follow(torch.optim.SGD, lr=0.1), [box()], Reinforce())
    assert torch.equal(machine.run(20, progress=False).coefficients, torch.full((3, 2), 0.5))

@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.3, float("nan"), float("inf"), -float("inf"), 1e30]), min_size=1, max_size=12), st.integers(0, 9))
def test_rewards_that_are_no_numbers_leave_it_in_its_box_and_able_to_go_on(costs, seed):
    queue = iter(costs)
    def analysis(signal): return {"cost": (signal - 0.2).square().sum(1) * 0 + next(queue, 0.5) + (signal - 0.2).square().sum(1)}
    machine = Machine(torch.full((2, 3), 0.6), lambda a: a, analysis, Follow(torch.optim.SGD, lr=0.01), [box()], Reinforce(seed=seed)).run(25, progress=False)
    assert machine.coefficients.isfinite().all() and 0 <= machine.coefficients.min() and machine.coefficients.max() <= 1
    assert machine.drive.usual.isfinite().all()

def test_it_is_resumed_to_the_last_bit():
    def make(): return Machine(torch.full((2, 3), 0.6), lambda a: a, lambda s: {"cost": s.square().sum(1)}, Follow(torch.optim.SGD, lr=0.01), [box()], Reinforce())
    whole, first, second = make().run(20, progress=False), make().run(8, progress=False), make()
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.run(12, progress=False).coefficients, whole.coefficients)


# --- macros, points, places --------------------------------------------------------------------------

def test_macros_turn_their_knobs_and_no_others():
    panel = FM6Op().panel
    macros = piano_macros(panel)
    low, high = panel.to_unit(macros(torch.zeros(1, 3)))[0], panel.to_unit(macros(torch.ones(1, 3)))[0]
    base = panel.to_unit(macros.patch)[0]
    turned = {label for each in macros.moves for label in each}
    for i, label in enumerate(panel.labels):
        if label not in turned: torch.testing.assert_close(torch.stack([low[i], high[i]]), base[i].repeat(2))
    for each in macros.moves:
        for label, (start, end) in each.items():
            i = panel.labels.index(label)
            assert low[i].item() == pytest.approx(start, abs=1e-5) and high[i].item() == pytest.approx(end, abs=1e-5)

def test_macros_pass_gradients():
    macros = piano_macros(FM6Op().panel)
    x = torch.full((1, 3), 0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: macros(x)["level"], x)

def test_macros_refuse_what_is_not_there():
    panel = FM6Op().panel
    patch = panel.defaults()
    for macros, match in (({"warm": {"wool 1": (0, 1)}}, "warm.*wool"), ({"warm": {"level 1": (0, 2)}}, "warm.*level 1.*0…1"),
                          ({"a": {"level 1": (0, 1)}, "b": {"level 1": (0, 1)}}, "b.*level 1.*already")):
        with pytest.raises(ValueError, match=match): Macros(panel, patch, macros)
    with pytest.raises(ValueError, match="points"): piano_macros(panel)(torch.zeros(2, 4))

def test_points_fill_the_cube_evenly():
    "Discrepancy by scipy: less than half that of random points; and a part is the part of the whole."
    for knobs in (2, 3, 4):
        points = spread_out(0, 512, knobs)
        by_chance = np.random.default_rng(0).random((512, knobs))
        assert scipy.stats.qmc.discrepancy(points.numpy()) < 0.5 * scipy.stats.qmc.discrepancy(by_chance)
        torch.testing.assert_close(spread_out(100, 50, knobs), points[100:150])

def test_places_are_principal_components():
    "Against scikit-learn, on noise with different colours."
    from sklearn.decomposition import PCA
    from ddsp_book.morphing import timbre
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(20, 4000, generator=generator).cumsum(1) * torch.rand(20, 1, generator=generator) + torch.randn(20, 4000, generator=generator)
    places = by_ear(audio, 16000, 4)
    expected = torch.tensor(PCA(4).fit_transform(timbre(audio, 16000).double().numpy()))
    expected = torch.pdist(expected) / torch.pdist(expected).std()
    assert (torch.pdist(places) - expected).abs().max() < 3e-3


# --- tastes ------------------------------------------------------------------------------------------

def some(count=30, seed=0): return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)).double() * 3

def chosen(places, seed, n=12):
    random = np.random.default_rng(seed)
    return [(*map(int, random.choice(len(places), 2, replace=False)), random.choice([0.0, 0.5, 1.0])) for _ in range(n)]

@pytest.mark.parametrize("seed", range(3))
def test_the_belief_is_bayes_rule(seed):
    "By loops over hypotheses, with scipy's logistic distribution."
    places, taste = some(), Taste(some())
    choices = chosen(places, seed)
    for choice in choices: taste.choose(*choice)
    expected = np.ones((5, 30))
    for s, sure in enumerate((0, 1, 2, 4, 8)):
        for k in range(30):
            for i, j, c in choices:
                p = scipy.stats.logistic.cdf(sure * (math.dist(places[j], places[k]) - math.dist(places[i], places[k])))
                expected[s, k] *= p**c * (1 - p) ** (1 - c)
    expected /= expected.sum()
    np.testing.assert_allclose(taste.belief().numpy(), expected, rtol=1e-8, atol=1e-20)
    assert taste.coin() == pytest.approx(expected[0].sum())
    far = np.array([[math.dist(a, b) for b in places] for a in places]) @ expected[1:].sum(0)
    assert taste.best() == far.argmin()

def test_the_expected_information_is_the_mutual_information():
    "With as many thoughts as there are hypotheses, and a flat belief: by scipy's entropies."
    taste = Taste(some(20))
    got = taste.information(*torch.cartesian_prod(torch.arange(20), torch.arange(20)).T, thoughts=100).view(20, 20)
    p = torch.sigmoid(torch.tensor([0, 1, 2, 4, 8.0]).double()[:, None, None, None] * (taste.apart[None, None, :, :] - taste.apart[None, :, None, :]))
    p = p.permute(1, 2, 0, 3).flatten(2).numpy()
    entropy = lambda p: scipy.stats.entropy(np.stack([p, 1 - p]), base=2)
    np.testing.assert_allclose(got.numpy(), entropy(p.mean(-1)) - entropy(p).mean(-1), atol=1e-9)

@settings(max_examples=12, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.integers(0, 8))
def test_whatever_is_answered_there_is_a_next_pair(count, seed, n):
    taste, random = Taste(some(count, seed)), np.random.default_rng(seed)
    for _ in range(n): taste.choose(*taste.propose(), float(random.choice([0, 0.5, 1])))
    i, j = taste.propose()
    assert i != j and 0 <= min(i, j) and max(i, j) < count and 0 <= taste.best() < count
    assert taste.belief().sum().item() == pytest.approx(1) and 0 <= taste.coin() <= 1

def test_sounds_that_are_all_the_same_are_no_trouble():
    taste = Taste(torch.zeros(10, 3))
    for _ in range(5): taste.choose(*taste.propose(), 1)
    assert taste.belief().sum().item() == pytest.approx(1) and taste.propose()[0] != taste.propose()[1]

def test_undo_and_resume_are_exact(tmp_path):
    whole, half = Taste(some()), Taste(some())
    for n in range(20):
        whole.choose(*whole.propose(), n % 3 / 2)
        if n < 8: half.choose(*half.propose(), n % 3 / 2)
    half.save(tmp_path / "choices.json")
    again = Taste(some())
    again.choose(1, 2, 1)  # is forgotten
    again.load(tmp_path / "choices.json")
    for n in range(8, 20): again.choose(*again.propose(), n % 3 / 2)
    assert torch.equal(again.belief(), whole.belief()) and again.choices == whole.choices
    before = whole.belief()
    whole.choose(3, 4, 1)
    whole.undo()
    assert torch.equal(whole.belief(), before)
    empty = Taste(some())
    empty.undo()
    assert len(empty) == 0

def test_a_coin_is_called_a_coin_and_a_listener_is_not():
    places, random = some(200), np.random.default_rng(0)
    coins, listeners = [], []
    for run in range(3):
        coin, listener = Taste(places), Taste(places)
        for _ in range(40):
            coin.choose(*coin.propose(), float(random.random() < 0.5))
            i, j = listener.propose()
            wish = places[run * 60]
            listener.choose(i, j, float(random.random() < 1 / (1 + math.exp(-4 * (math.dist(places[j], wish) - math.dist(places[i], wish))))))
        coins.append(coin.coin())
        listeners.append(listener.coin())
    assert np.median(coins) > 0.5 and max(listeners) < 0.2
    assert "contradict" in coin.words() or coin.coin() <= 0.5
    assert listener.words() == "40 choices so far."

def test_bad_input_is_refused_at_the_door(tmp_path):
    with pytest.raises(ValueError, match="places"): Taste(torch.zeros(3))
    with pytest.raises(ValueError, match="places.*2 sounds"): Taste(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="places.*NaN"): Taste([[float("nan")], [0.0]])
    taste = Taste(some())
    for i, j, c, match in ((0, 30, 1, "j.*0…29"), (-1, 3, 1, "i"), (0.5, 1, 1, "i"), (0, 1, 2, "chosen"), (0, 1, float("nan"), "chosen")):
        with pytest.raises(ValueError, match=match): taste.choose(i, j, c)
    taste.choose(0, 1, 1)
    taste.save(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    for other, match in ((text[:20], "cut off"), ("[1]", "not a file of choices"), (text.replace("30", "31"), "sounds: expected 30"),
                         (text.replace("[0, 1, 1.0]", "[0, 99, 1.0]"), "j: expected"), (text.replace("[0, 1, 1.0]", "[0]"), "")):
        (tmp_path / "b.json").write_text(other)
        with pytest.raises(ValueError, match=match): taste.load(tmp_path / "b.json")
    assert taste.choices == [(0, 1, 1.0)]
    with pytest.raises(ValueError, match="spread"): Reinforce(0)

def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    taste, path = Taste(some()), tmp_path / "a.json"
    taste.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(json, "dumps", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError): taste.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# --- the machine, the notebook, the study --------------------------------------------------------------

def test_a_machine_that_asks_finds_what_is_wanted_and_can_be_stopped():
    points = spread_out(0, 300, 2)
    wish = torch.tensor([0.8, 0.3])
    def listener(signal): return {"chosen": torch.tensor(float((signal[0] - wish).norm() < (signal[1] - wish).norm()))}
    def make():
        drive = Compare(Taste(points * 4), points)
        return Machine(drive.start(), lambda a: a, listener, lambda a, u: a + u, [box()], drive)
    whole, first, second = make().run(25, progress=False), make().run(10, progress=False), make()
    second.load_state_dict(first.state_dict())
    second.run(15, progress=False)
    assert torch.equal(whole.coefficients, second.coefficients) and whole.drive.taste.choices == second.drive.taste.choices
    assert (points[whole.drive.taste.best()] - wish).norm() < 0.06

def test_no_answer_asks_the_same_again():
    points = spread_out(0, 50, 2)
    drive = Compare(Taste(points), points)
    machine = Machine(drive.start(), lambda a: a, lambda s: {"chosen": torch.tensor(float("nan"))}, lambda a, u: a + u, [box()], drive)
    before = machine.coefficients.clone()
    assert torch.equal(machine.run(3, progress=False).coefficients, before) and len(drive.taste) == 0

def test_a_listener_in_the_notebook():
    ipywidgets = pytest.importorskip("ipywidgets")
    taste = Taste(some())
    asked = []
    def render(k):
        asked.append(k)
        return 0.1 * np.sin(np.arange(800) * (k + 1) / 50)
    view = listen(taste, render, 16000, "Which is <b>warmer</b>?")
    says, heard, buttons = view.children
    assert isinstance(view, ipywidgets.VBox) and heard.value.count("<audio") == 2 and "Which" in says.value
    first = tuple(asked)
    buttons.children[0].click()
    assert taste.choices == [(*first, 1.0)] and tuple(asked[2:]) == taste.propose() and "1 choice so far" in says.value
    buttons.children[1].click()
    buttons.children[2].click()
    assert [c for *_, c in taste.choices] == [1.0, 0.5, 0.0]
    buttons.children[3].click()
    assert len(taste) == 2

def test_the_page_element_holds_all_that_it_needs():
    macros = piano_macros(FM6Op().panel)
    page = prefer(macros, some(40), "Which </script> is it?", "A <choice>")
    assert isinstance(page, Shown) and page.html.count("</script>") == 1 and "<choice>" not in page.html
    data = json.loads(page.html.split('application/json">')[1].split("</script>")[0])
    assert data["question"] == "Which </script> is it?" and len(data["places"]) == 40 and data["names"] == macros.names

def rows():
    with open(DATA / "results" / "preference.csv", encoding="utf-8") as file: return list(csv.DictReader(file))

def test_the_hidden_taste_is_found_in_40_choices_in_9_of_10_runs():
    found = defaultdict(list)
    for row in rows():
        if row["choices"] == "40": found[row["listener"], row["asked"]].append(float(row["better"]) <= 0.01)
    assert all(len(each) == 50 for each in found.values())
    assert np.mean(found["1 in 20", "proposed"]) >= 0.9
    assert np.mean(found["1 in 20", "by chance"]) < 0.7 and np.mean(found["1 in 20", "last winner"]) < 0.5
