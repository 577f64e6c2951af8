"""The ear: its distance and slopes. Where to look: partials, pitch, and the spaces of both synthesizers."""
import numpy as np
import pytest
import torch
from ddsp_book.audio import log_mel
from ddsp_book.fm6 import FM6Op
from ddsp_book.listening import SPACES, Ear, bend_levels, candidates, fm6_space, musical, partials, pitch_of

RATE = 16000


def patch_and_sound(seed=1, n=RATE // 4, f0_hz=220.0):
    synth, g = FM6Op(RATE), torch.Generator().manual_seed(seed)
    patch = musical(synth.panel, 1, f0_hz, g)
    patch["algorithm"][:], patch["ratio"][:] = 5, 1.0
    return synth, patch, synth(patch, n)[0]


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
    true = bend_levels(synth.panel, synth.panel.to_unit(patch), 1 / 3)
    away = ear(space.play(true, ear.n_samples, 4)).item()
    rest = ear(space.play(space.draw(20, torch.Generator().manual_seed(0)), ear.n_samples, 4))
    assert away < 5 < rest.min()


# Where it starts from ---------------------------------------------------------------------------------------------------

def test_partials_and_pitch():
    t = torch.arange(RATE) / RATE
    x = sum(a * (2 * np.pi * f * t).sin() for f, a in ((220, 0.5), (440, 0.2), (1540, 0.1)))
    f_hz, level_db = partials(x, RATE)
    assert f_hz.tolist() == [220, 440, 1540] and level_db[0] == 0
    assert pitch_of(x, RATE) == pytest.approx(220, rel=2e-3)

def test_candidates_are_the_ratios_of_the_patch():
    t = torch.arange(RATE) / RATE
    x = sum((2 * np.pi * 220 * k * t).sin() / k for k in (1, 4, 7))
    found = set(candidates(x, RATE, 220.0).tolist())
    assert found == {1.0, 3.0, 4.0, 6.0, 7.0}

@pytest.mark.parametrize("name", SPACES)
def test_what_a_space_draws_can_be_played(name):
    _, _, x = patch_and_sound()
    space = SPACES[name](x, RATE, 220.0)
    u = space.draw(50, torch.Generator().manual_seed(0))
    assert u.min() >= 0 and u.max() <= 1
    assert space.play(u, 200, speed=4).isfinite().all()
    assert (space.patch(u)["f0_hz"] - 220).abs().min() < 0.01

def test_bent_levels_are_bent_back():
    panel, g = FM6Op(RATE).panel, torch.Generator().manual_seed(0)
    u = panel.to_unit(musical(panel, 64, 220.0, g))
    torch.testing.assert_close(bend_levels(panel, bend_levels(panel, u, 1 / 3), 3), u)
