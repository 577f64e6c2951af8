"""The matcher: its distance, its slopes, and that it keeps its promises when interrupted, repeated or given rubbish."""
import numpy as np
import pytest
import torch
from ddsp_book import matching
from ddsp_book.audio import log_mel
from ddsp_book.fm6 import FM6Op
from ddsp_book.matching import Descent, Ear, Run, distinct, fm6_space, match, musical, mutate, partials, pitch_of

RATE = 16000


def patch_and_sound(seed=1, n=RATE // 4, f0_hz=220.0):
    synth, g = FM6Op(RATE), torch.Generator().manual_seed(seed)
    patch = musical(synth.panel, 1, f0_hz, g)
    patch["algorithm"][:], patch["ratio"][:] = 5, 1.0
    return synth, patch, synth(patch, n)[0]

def idle():
    from tqdm.auto import tqdm
    return Run(1e9, None, 1, lambda: 0.0, tqdm(disable=True))


# The distance -----------------------------------------------------------------------------------------------------------

def test_distance_is_the_mean_difference_of_floored_log_mels():
    _, _, x = patch_and_sound()
    y = patch_and_sound(2)[2]
    # an independent one: the NumPy log-mel of the first chapter; mirrored ends and the floor put back by hand
    pad = lambda v: np.pad(v.double().numpy(), 512, mode="reflect")
    power = [10 ** (log_mel(pad(v), RATE, 1024, 64, -300) / 10)[2:-2] for v in (x, y)]
    level = [10 * np.log10(p + 1e-8 * power[0].max()) for p in power]
    assert Ear(x, RATE)(y[None]).item() == pytest.approx(np.abs(level[0] - level[1]).mean(), abs=0.02)

def test_distance_does_not_care_how_loud_both_are():
    _, _, x = patch_and_sound()
    y = patch_and_sound(2)[2][None]
    assert Ear(x, RATE)(y).item() == pytest.approx(Ear(x / 50, RATE)(y / 50).item(), rel=1e-4)
    assert Ear(x, RATE)(x[None]).item() == 0

@pytest.mark.parametrize("speed", [1, 4])
def test_slope_of_the_distance(speed):
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    y = torch.randn(2, 4000 // speed, generator=torch.Generator().manual_seed(1), dtype=torch.double).requires_grad_()
    ear = Ear(x, RATE, speed)
    plain = (ear.hear(y) - ear.target).abs().mean((1, 2))
    torch.testing.assert_close(ear(y), plain)
    ours, theirs = (torch.autograd.grad((d * torch.tensor([1.0, 2.0])).sum(), y)[0] for d in (ear(y), plain))
    torch.testing.assert_close(ours, theirs)

def test_in_fast_motion_the_true_patch_is_near_and_others_are_not():
    synth, patch, x = patch_and_sound(n=RATE)
    space, ear = fm6_space(x, RATE, 220.0), Ear(x, RATE, 4)
    away = ear(space.play(synth.panel.to_unit(patch), ear.n_samples, 4)).item()
    rest = ear(space.play(space.draw(20, torch.Generator().manual_seed(0)), ear.n_samples, 4))
    assert away < 5 < rest.min()


# Where it starts from ---------------------------------------------------------------------------------------------------

def test_partials_and_pitch():
    t = torch.arange(RATE) / RATE
    x = sum(a * (2 * np.pi * f * t).sin() for f, a in ((220, 0.5), (440, 0.2), (1540, 0.1)))
    f_hz, level_db = partials(x, RATE)
    assert f_hz.tolist() == [220, 440, 1540] and level_db[0] == 0
    assert pitch_of(x, RATE) == pytest.approx(220, rel=2e-3)

def test_mutants_stay_in_the_cube_and_hold_what_is_held():
    _, _, x = patch_and_sound()
    space, g = fm6_space(x, RATE, 220.0), torch.Generator().manual_seed(0)
    old = space.draw(200, g)
    new = mutate(space, old, g)
    assert new.min() >= 0 and new.max() <= 1 and (new != old).any(1).float().mean() > 0.8
    for name in space.held: assert (new[:, space.at[name]] == old[:, space.at[name]]).all()
    assert space.synth(space.panel.from_unit(new), 100).isfinite().all()

def test_distinct_keeps_the_closest_of_each_structure():
    _, _, x = patch_and_sound()
    space = fm6_space(x, RATE, 220.0)
    u = space.draw(4, torch.Generator().manual_seed(0))
    u = torch.cat([u, u])
    away = torch.tensor([5.0, 6, 7, 8, 4, 9, 3, 9])
    rows, left = distinct(space, u, away, 3)
    assert left.tolist() == [3, 4, 6] and (rows == u[[6, 4, 1]]).all()

def test_descent_gets_closer_and_turns_no_choice():
    _, _, x = patch_and_sound()
    space, ear = fm6_space(x, RATE, 220.0), Ear(x, RATE)
    u = space.draw(6, torch.Generator().manual_seed(0))
    descent = Descent(space, ear, u, idle())
    start = ear(space.play(descent.now, ear.n_samples))
    descent.steps(15, (0.01, 0.002))
    assert (descent.distance < start).all()
    still = space.free == 0
    assert set(map(tuple, descent.best[:, still].tolist())) == set(map(tuple, u[:, still].tolist()))
    torch.testing.assert_close(ear(space.play(descent.best, ear.n_samples)), descent.distance, rtol=1e-3, atol=1e-3)


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

def test_interrupted_it_keeps_the_best(monkeypatch):
    _, _, x = patch_and_sound()
    note, count = Run.note, []
    def stop(self, *args):
        note(self, *args)
        count.append(0)
        if len(count) == 2: raise KeyboardInterrupt
    monkeypatch.setattr(Run, "note", stop)
    found = match(x, RATE, f0_hz=220, work=4000, progress=False)
    assert len(found.history) == 2 and found.distance == found.history[-1][1]

@pytest.mark.parametrize("sound, options, error", [
    (torch.zeros(8000), {}, "sound: it is silent"),
    (torch.randn(300), {}, "at least 50 ms"),
    (torch.randn(2, 8000), {}, r"sound: expected \(samples,\)"),
    (torch.full((8000,), torch.nan), {}, "sound"),
    (torch.randn(8000), {"synth": "moog"}, "synth: expected one of fm6"),
])
def test_bad_input(sound, options, error):
    with pytest.raises(ValueError, match=error): match(sound, RATE, progress=False, **options)
