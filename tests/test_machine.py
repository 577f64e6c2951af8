"The machine: laws that hold whatever the drive says, updates against torch's own loops, stop and resume."
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.fm import FM2Op
from ddsp_book.fm6 import FM6Op
from ddsp_book.machine import Explore, Follow, Machine, box, budget, descend, multiply, slew

torch.set_num_threads(1)
ODD = st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 0.0]) | st.floats(-10, 10)
LAWS = {"adam": lambda: Follow(torch.optim.Adam, lr=0.3), "sgd": lambda: Follow(torch.optim.SGD, lr=1.0, momentum=0.9),
        "rmsprop": lambda: Follow(torch.optim.RMSprop, lr=0.2), "multiply": lambda: multiply(0.5),
        "broken": lambda: lambda a, u: a / (u - u)}  # an update law that returns only NaN


def bowl(centre):
    def analysis(signal): return {"cost": (signal - centre).square().sum(-1)}
    return analysis


def identity(a): return a


@settings(max_examples=60, deadline=None)
@given(drives=st.lists(st.lists(ODD, min_size=6, max_size=6), min_size=1, max_size=12), law=st.sampled_from(sorted(LAWS)),
       limit=st.floats(0.01, 0.5))
def test_coefficients_stay_in_box_slew_and_budget_for_any_drive(drives, law, limit):
    drives = iter(torch.tensor(drives).view(-1, 2, 3))
    def storm(features, coefficients): return next(drives)
    def energy(a): return a.square().sum(-1)
    machine = Machine(torch.full((2, 3), 0.4), identity, bowl(0.5), LAWS[law](),
                      [box(0.1, 0.9), slew(limit), budget((energy, 1.0), (lambda a: a[:, 0] + a[:, 1], 1.2))], storm)
    try:
        while True: machine.step()
    except StopIteration: pass
    a = torch.cat([machine.history("coefficients"), machine.coefficients[None]]) if machine.log else machine.coefficients[None]
    assert a.isfinite().all() and a.min() >= 0.1 and a.max() <= 0.9
    assert (a.diff(dim=0).abs() <= limit + 1e-6).all()
    assert (energy(a) <= 1 + 1e-6).all() and ((a[..., 0] + a[..., 1]) <= 1.2 + 1e-6).all()


def test_follow_is_torchs_own_loop():
    start, centre = torch.rand(4, 3), torch.rand(4, 3)
    for kind, settings_ in ((torch.optim.Adam, dict(lr=0.05)), (torch.optim.SGD, dict(lr=0.1, momentum=0.9))):
        machine = Machine(start, identity, bowl(centre), Follow(kind, **settings_))
        machine.run(25, progress=False)
        own = start.clone().requires_grad_()
        optimizer = kind([own], **settings_)
        for _ in range(25):
            optimizer.zero_grad()
            bowl(centre)(own)["cost"].sum().backward()
            optimizer.step()
        assert torch.equal(machine.coefficients, own.detach())


def test_multiply_is_exponentiated():
    machine = Machine([[0.5, 2.0]], identity, lambda s: {}, multiply(torch.tensor([0.1, 0.2])),
                      drive=lambda s, a: torch.tensor([[1.0, -2.0]]))
    machine.run(3, progress=False)
    np.testing.assert_allclose(machine.coefficients[0], [0.5 * np.exp(0.3), 2 * np.exp(-1.2)], rtol=1e-6)


def test_rows_are_machines_of_their_own():
    starts = torch.rand(5, 3)
    together = Machine(starts, identity, bowl(0.3), Follow(lr=0.05), [box()]).run(20, progress=False)
    alone = Machine(starts[2:3], identity, bowl(0.3), Follow(lr=0.05), [box()]).run(20, progress=False)
    torch.testing.assert_close(together.coefficients[2:3], alone.coefficients)


def test_a_bad_drive_moves_only_its_own_row_nowhere():
    def drive(features, a): return torch.tensor([[1.0, float("nan")], [1.0, 1.0]])
    machine = Machine(torch.full((2, 2), 0.5), identity, bowl(0.0), multiply(0.1), drive=drive)
    machine.step()
    assert torch.equal(machine.coefficients[0], torch.full((2,), 0.5)) and (machine.coefficients[1] > 0.5).all()
    assert machine.history("lost").tolist() == [[True, False]]


def test_best_is_the_lowest_cost_that_was_heard():
    machine = Machine(torch.rand(3, 2), identity, bowl(0.4), Follow(torch.optim.SGD, lr=1.1))  # diverges
    machine.run(10, progress=False)
    torch.testing.assert_close(machine.lowest, machine.history("cost").min(0).values)
    torch.testing.assert_close(bowl(0.4)(machine.best)["cost"], machine.lowest)


def test_nan_costs_are_never_best():
    costs = iter([5.0, float("nan"), float("inf"), 7.0])
    machine = Machine([[0.5]], identity, lambda s: {"cost": torch.tensor([next(costs)])}, multiply(0.1),
                      drive=lambda s, a: torch.ones(1, 1))
    machine.run(4, progress=False)
    assert machine.lowest.item() == 5.0 and machine.best.item() == 0.5


def test_explore_climbs_as_the_gradient_would():
    "On a quadratic, the mean of many drives points along the negative gradient."
    centre = torch.tensor([0.7, 0.2, 0.5])
    a = torch.full((1, 3), 0.5)
    drives = []
    drive = Explore(spread=0.01, tries=64, seed=1)
    for _ in range(50):
        tried = drive.explore(a, lambda new, old, s: new)
        drives.append(drive(bowl(centre)(tried), a))
    mean = torch.stack(drives).mean(0)[0]
    assert torch.cosine_similarity(mean, centre - a[0], dim=0) > 0.99


def test_explore_stays_where_it_is_allowed_and_arrives():
    machine = Machine([[0.5, 0.5]], identity, bowl(torch.tensor([1.5, 0.3])), Follow(lr=0.03), [box()], Explore(seed=0))
    machine.run(150, progress=False)
    tried = machine.history("coefficients")
    assert tried.min() >= 0 and tried.max() <= 1
    torch.testing.assert_close(machine.best, torch.tensor([[1.0, 0.3]]), atol=0.03, rtol=0)


def test_explore_survives_costs_that_are_not_numbers():
    def analysis(signal): return {"cost": torch.where(signal[:, 0] > 0.5, torch.nan, (signal[:, 0] - 0.45).square())}
    machine = Machine([[0.49]], identity, analysis, Follow(lr=0.01), [box()], Explore(seed=0)).run(40, progress=False)
    assert machine.coefficients.isfinite().all() and abs(machine.best.item() - 0.45) < 0.02


@pytest.mark.parametrize("make", [
    lambda: Machine(torch.full((2, 3), 0.5), identity, bowl(0.2), Follow(lr=0.05), [box()]),
    lambda: Machine(torch.full((2, 3), 0.5), identity, bowl(0.2), Follow(lr=0.05), [box()], Explore(seed=7)),
    lambda: Machine(torch.full((2, 3), 0.5), identity, bowl(0.2), multiply(0.1), [box()])], ids=["adam", "explore", "multiply"])
@pytest.mark.parametrize("stop", [0, 1, 9])
def test_resume_is_exact(make, stop, tmp_path):
    whole = make().run(20, progress=False)
    first, second = make().run(stop, progress=False), make()
    first.save(tmp_path / "m.pt")
    second.load(tmp_path / "m.pt")
    second.run(20 - stop, progress=False)
    assert torch.equal(whole.coefficients, second.coefficients) and torch.equal(whole.best, second.best)
    assert torch.equal(whole.history("cost"), second.history("cost"))


def test_parts_with_a_state_are_resumed():
    class Plant:
        def __init__(self): self.warm = 10.0
        def __call__(self, power): self.warm += power.item() - 0.1 * self.warm; return torch.tensor([self.warm])
        def state_dict(self): return {"warm": self.warm}
        def load_state_dict(self, state): self.warm = state["warm"]
    def make(): return Machine([[1.0]], Plant(), lambda s: {"error": 20 - s}, lambda a, u: a + u, [box(0, 3), slew(0.1)],
                               lambda s, a: 0.05 * s["error"][:, None])
    whole, first, second = make().run(30, progress=False), make().run(11, progress=False), make()
    second.load_state_dict(first.state_dict())
    second.run(19, progress=False)
    assert torch.equal(whole.history("error"), second.history("error"))


def test_an_interruption_keeps_everything(capsys):
    count = iter(range(100))
    def synthesis(a):
        if next(count) == 5: raise KeyboardInterrupt
        return a
    machine = Machine(torch.rand(2, 2), synthesis, bowl(0.5), Follow(lr=0.05)).run(50, progress=False)
    assert len(machine.log) == 5 and machine.lowest.isfinite().all() and "interrupted" in capsys.readouterr().out
    assert len(machine.run(3, progress=False).log) == 8  # and can go on


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    machine = Machine([[0.5]], identity, bowl(0.2), Follow()).run(2, progress=False)
    machine.save(tmp_path / "m.pt")
    before = (tmp_path / "m.pt").read_bytes()
    def broken(state, path):
        open(path, "wb").write(b"half")
        raise OSError("disk full")
    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError): machine.save(tmp_path / "m.pt")
    assert (tmp_path / "m.pt").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_it_stops_when_the_time_is_over():
    machine = Machine([[0.5]], identity, bowl(0.2), Follow())
    assert 1 <= len(machine.run(10**9, seconds=0.05, progress=False).log) < 10**6


SYNTHS = {
    "fm2": lambda: (3, lambda v: FM2Op()(200 + 400 * v[:, 0], 200 + 400 * v[:, 1], 5 * v[:, 2], 800)),
    "fm6": lambda: (FM6Op().panel.size, lambda v, synth=FM6Op(): synth(synth.panel.from_unit(v), 800)),
    "harmonic": lambda: (4, lambda v: (v[:, :, None] * torch.sin(0.05 * torch.arange(1, 5)[:, None] * torch.arange(800))).sum(1)),
}


@pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
@pytest.mark.parametrize("name", SYNTHS)
@pytest.mark.parametrize("by", ["gradient", "reward"])
def test_any_synth_unchanged(name, by):
    knobs, synthesis = SYNTHS[name]()
    generator = torch.Generator().manual_seed(0)
    target = synthesis(torch.rand(1, knobs, generator=generator)).detach()
    drive = descend if by == "gradient" else Explore(seed=0, spread=0.05)
    machine = Machine(torch.rand(2, knobs, generator=generator), synthesis, bowl(target), Follow(lr=0.02), [box()], drive)
    machine.run(8, progress=False)
    cost = machine.history("cost").view(8, 2, -1).mean(-1)
    assert (machine.lowest < cost[0]).all() and 0 <= machine.coefficients.min() <= machine.coefficients.max() <= 1


def test_bad_input_is_refused_at_the_door(tmp_path):
    def make(a=[[0.5]], safety=(), **more): return Machine(a, identity, bowl(0.2), Follow(), safety, **more)
    with pytest.raises(ValueError, match="coefficients.*batch, knobs"): make([0.5])
    with pytest.raises(ValueError, match="coefficients.*NaN"): make([[float("nan")]])
    with pytest.raises(ValueError, match="coefficients.*safety"): make([[1.5]], [box()])
    with pytest.raises(ValueError, match="drive.*expected"): make(drive=lambda s, a: torch.zeros(3)).step()
    with pytest.raises(ValueError, match="low"): box(1.0, 0.0)
    with pytest.raises(ValueError, match="limit"): slew(0.0)
    with pytest.raises(ValueError, match="rate"): multiply(float("inf"))
    with pytest.raises(ValueError, match="tries"): Explore(tries=3)
    make().run(2, progress=False).save(tmp_path / "m.pt")
    with pytest.raises(ValueError, match="coefficients"): make([[0.5, 0.5]]).load(tmp_path / "m.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "m.pt").read_bytes()[:200])
    with pytest.raises(ValueError, match="not a checkpoint"): make().load(tmp_path / "cut.pt")
    torch.save([1, 2], tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a machine"): make().load(tmp_path / "other.pt")
