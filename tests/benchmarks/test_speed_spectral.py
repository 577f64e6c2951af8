"""The multi-scale spectral loss, forward and backward, against auraloss and the plain formula: `make bench`.
The bracketed figures are the ratios."""
import auraloss
import pytest
import torch
from ddsp_book.spectral import MultiScaleSpectralLoss, plain_distance

SIX = (2048, 1024, 512, 256, 128, 64)
Y, X = 0.1 * torch.randn(2, 4, 64000, generator=torch.Generator().manual_seed(0))
LOSS = MultiScaleSpectralLoss(SIX, average=True)
PEER = auraloss.freq.MultiResolutionSTFTLoss(SIX, [n // 4 for n in SIX], SIX, w_sc=0, w_log_mag=1, w_lin_mag=1)
KNOWN = LOSS.analyse(X)

WAYS = {
    "ours, target known": lambda y: LOSS(y, KNOWN),
    "ours, target anew": lambda y: LOSS(y, X),
    "plain formula, autograd": lambda y: plain_distance(LOSS, y, X).mean(),
    "auraloss": lambda y: PEER(y[:, None], X[:, None]),
}

def step(way):
    y = Y.clone().requires_grad_()
    loss = way(y)
    loss.backward()
    return loss.detach(), y.grad

@pytest.mark.benchmark(group="multi-scale loss 2048…64, linear + log, 4 × 4 s at 16 kHz, forward + backward, "
                             "float32, 2 threads", warmup=True, min_rounds=7)
@pytest.mark.parametrize("name", WAYS)
def test_forward_and_backward(benchmark, name):
    loss, slope = benchmark(step, WAYS[name])
    expected, exact = step(WAYS["auraloss"])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert (slope - exact).abs().max() < 1e-6 and (slope - exact).norm() < 1e-3 * exact.norm()

@pytest.mark.benchmark(group="the same, forward only", warmup=True, min_rounds=7)
@pytest.mark.parametrize("name", WAYS)
def test_forward(benchmark, name):
    with torch.no_grad(): benchmark(WAYS[name], Y)
