"""The matcher: that it gets closer, and that it keeps its promises when interrupted, repeated or given rubbish."""
import pytest
import torch
from ddsp_book.listening import SPACES, Ear, fm6_space
from ddsp_book.matching import People, Run, follow, listen, match, mutate

from test_listening import RATE, patch_and_sound


def idle():
    from tqdm.auto import tqdm
    return Run(1e9, None, 1, lambda: 0.0, tqdm(disable=True))


# Mutants and people -----------------------------------------------------------------------------------------------------

def test_mutants_stay_in_the_cube_and_hold_what_is_held():
    _, _, x = patch_and_sound()
    space, g = fm6_space(x, RATE, 220.0), torch.Generator().manual_seed(0)
    old = space.draw(200, g)
    new = mutate(space, old, g)
    assert new.min() >= 0 and new.max() <= 1 and (new != old).any(1).float().mean() > 0.8
    for name in space.held: assert (new[:, space.at[name]] == old[:, space.at[name]]).all()
    assert space.synth(space.panel.from_unit(new), 100).isfinite().all()

def test_people_are_the_closest_that_sound_unlike_each_other():
    heard = torch.tensor([0.0, 0.1, 5, 9, 9.1])[:, None, None].expand(-1, 3, 4)
    away = torch.tensor([1.0, 1.1, 3, 2, 1.9])
    people = People(torch.arange(5.0)[:, None], away, heard)
    assert people.best(5).vectors[:, 0].tolist() == [0, 4, 2]  # 1 sounds like 0, 3 like 4
    assert people.best(2).away.tolist() == pytest.approx([1.0, 1.9])
    assert people.best(5, known=heard[2:3]).vectors[:, 0].tolist() == [0, 4]
    assert (people + people).best(5).away.tolist() == people.best(5).away.tolist()

@pytest.mark.parametrize("name", ["fm6", "subtractive"])
def test_down_the_slope_it_gets_closer_and_turns_no_choice(name):
    _, _, x = patch_and_sound()
    space, ear = SPACES[name](x, RATE, 220.0), Ear(x, RATE)
    u = space.draw(6, torch.Generator().manual_seed(0))
    (before,) = listen(space, ear, [u], idle())
    after = listen(space, ear, follow(space, ear, [u[:2], u[2:]], idle(), 15, 0.01, 0.002), idle())
    assert [len(each.away) for each in after] == [2, 4]
    assert before.away.min() > torch.cat([each.away for each in after]).min()
    for each in after:
        torch.testing.assert_close(each.away, each.away.sort().values, rtol=1e-3, atol=1e-3)
    still = space.free == 0
    assert set(map(tuple, (after[0] + after[1]).vectors[:, still].tolist())) == set(map(tuple, u[:, still].tolist()))


# The whole --------------------------------------------------------------------------------------------------------------

def test_same_work_same_patch_whatever_the_threads():
    _, _, x = patch_and_sound()
    one, two = (match(x, RATE, f0_hz=220, work=1200, workers=w, progress=False) for w in (1, 2))
    assert one.distance == two.distance and all((one.patch[k] == two.patch[k]).all() for k in one.patch)
    assert Ear(x, RATE)(one.audio[None]).item() == pytest.approx(one.distance, rel=1e-3)
    assert one.distance < 6 and [d for _, d in one.history] == sorted((d for _, d in one.history), reverse=True)

def test_the_time_is_kept():
    _, _, x = patch_and_sound()
    clock = iter(range(10**9))
    found = match(x, RATE, f0_hz=220, seconds=20, progress=False, clock=lambda: next(clock))
    assert found.distance < 20

@pytest.mark.parametrize("stop_at", [1, 2])
def test_interrupted_it_keeps_the_best(monkeypatch, stop_at):
    _, _, x = patch_and_sound()
    note, count = Run.note, []
    def stop(self, *args):
        note(self, *args)
        count.append(0)
        if len(count) == stop_at: raise KeyboardInterrupt
    monkeypatch.setattr(Run, "note", stop)
    found = match(x, RATE, f0_hz=220, work=4000, progress=False)
    assert len(found.history) == stop_at and found.distance == found.history[-1][1]

@pytest.mark.parametrize("sound, options, error", [
    (torch.zeros(8000), {}, "sound: it is silent"),
    (torch.randn(300), {}, "at least 50 ms"),
    (torch.randn(2, 8000), {}, r"sound: expected \(samples,\)"),
    (torch.full((8000,), torch.nan), {}, "sound"),
    (torch.randn(8000), {"synth": "moog"}, "synth: expected one of fm6"),
])
def test_bad_input(sound, options, error):
    with pytest.raises(ValueError, match=error): match(sound, RATE, progress=False, **options)
