"""How fast the two operators are, against the formula as one would type it: `make bench`.
The bracketed figures are the ratios."""
import math
import pytest
import torch
from ddsp_book.fm import fm2

B, N, FS = 16, 16000, 16000
DRAW = torch.Generator().manual_seed(0)
STEADY = [low + span * torch.rand(B, generator=DRAW) for low, span in ((200, 400), (100, 300), (0.5, 3))]
MOVING = [c[:, None] * torch.linspace(0.8, 1.2, N) for c in STEADY]

def typed(f_car, f_mod, index, dtype):
    "The formula as it stands: f · t if steady, a running sum if not. Nothing wraps."
    f_car, f_mod, index = (c.to(dtype) for c in (f_car, f_mod, index))
    if f_car.ndim == 1:
        t = torch.arange(N, dtype=dtype) / FS
        car, mod, index = f_car[:, None] * t, f_mod[:, None] * t, index[:, None]
    else: car, mod = ((f / FS).cumsum(-1) - f / FS for f in (f_car, f_mod))
    return torch.sin(2 * math.pi * car + index * torch.sin(2 * math.pi * mod))

WAYS = {
    "ours": lambda *c: fm2(*c, N, FS),
    "as typed, float32": lambda *c: typed(*c, torch.float32),
    "as typed, float64": lambda *c: typed(*c, torch.float64),
}

def gradients(way, controls):
    controls = [c.clone().requires_grad_() for c in controls]
    y = WAYS[way](*controls)
    return y, *torch.autograd.grad(y.square().sum(), controls)

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("controls", [STEADY, MOVING], ids=["steady", "moving"])
def test_two_operators(benchmark, way, controls):
    kind = "steady" if controls is STEADY else "moving"
    benchmark.group = f"two operators, {kind}: forward + backward, 16 × 1 s at 16 kHz"
    exact, got = gradients("as typed, float64", controls), benchmark(gradients, way, controls)
    assert (got[0] - exact[0]).abs().max() < 0.02, "all compute the same, the float32 formula roughly"
    if way == "ours": assert (got[0] - exact[0]).abs().max() < 1e-5
