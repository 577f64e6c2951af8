"""How fast it is, against the plain formula and named peers, in one run: `make bench`.
The bracketed figures are the ratios."""
import autograd.numpy as np
import numpy as onp
import pytest
import scipy.signal
from autograd import value_and_grad
from autograd.scipy.signal import convolve as autograd_convolve
from ddsp_book.audio import example
from ddsp_book.hybrid import DDSPHybrid, SpectralLoss, convolve, example_patch, harmonic_table, measure, white_noise
from ddsp_book.runtime import PartitionedConvolution, Runtime

FS, N, K, M, L = 48000, 4800, 8, 32, 64
TARGET = onp.convolve(onp.sin(2 * onp.pi * 440 * onp.arange(N) / FS), onp.exp(-onp.arange(128) / 85))[:N]
TABLE, NOISE = harmonic_table(onp.full(N, 440.0), FS, K), white_noise(N)
THETA = 0.1 * onp.random.default_rng(0).standard_normal(K + M + L)

def parts(theta): return theta[:K], theta[K:K + M], theta[K + M:]

def ours(theta):
    harmonic_amps, noise_fir, reverb_ir = parts(theta)
    return convolve(np.dot(harmonic_amps, TABLE) + convolve(NOISE, noise_fir), reverb_ir)

def by_definition(x, h):
    "y[n] = Σ h[m] x[n - m], tap by tap."
    y = 0
    for m in range(len(h)): y = y + h[m] * np.concatenate([np.zeros(m), x[:len(x) - m]])
    return y

def loop_over_harmonics(theta, convolve):
    harmonic_amps, noise_fir, reverb_ir = parts(theta)
    t, dry = onp.arange(N) / FS, 0
    for k in range(1, K + 1): dry = dry + harmonic_amps[k - 1] * np.sin(2 * np.pi * 440 * k * t)
    return convolve(dry + convolve(NOISE, noise_fir)[:N], reverb_ir)[:N]

STEPS = {
    "ours": ours,
    "loop, convolution by definition": lambda theta: loop_over_harmonics(theta, by_definition),
    "loop, autograd.scipy.signal.convolve": lambda theta: loop_over_harmonics(theta, autograd_convolve),
}

@pytest.mark.benchmark(group="one gradient step of the demo: 0.1 s at 48 kHz, "
                             "8 harmonics, 32 + 64 taps, float64", warmup=True)
@pytest.mark.parametrize("name", STEPS)
def test_gradient_step(benchmark, name):
    step = value_and_grad(lambda theta: np.mean((STEPS[name](theta) - TARGET) ** 2))
    loss, gradient = benchmark(step, THETA)
    expected_loss, expected = value_and_grad(lambda theta: np.mean((ours(theta) - TARGET) ** 2))(THETA)
    assert onp.isclose(loss, expected_loss) and onp.allclose(gradient, expected), "all three compute the same"

@pytest.mark.benchmark(group="one step of learning a real note: 1 s at 16 kHz, 18 harmonics, 64 + 2048 taps")
@pytest.mark.parametrize("loss", ["squared error", "spectral"])
def test_note_step(benchmark, loss):
    audio, rate = example("violin_A4")
    note = audio[:rate]
    model = DDSPHybrid(note, *measure(note, rate)[:1], rate, K_harm=18, L_reverb=2048)
    distance = SpectralLoss(note) if loss == "spectral" else lambda y: np.mean((y - note) ** 2)
    benchmark(value_and_grad(lambda theta: distance(model.synth(theta))), model.theta)

@pytest.mark.benchmark(group="1 s of violin at 16 kHz, block by block (1000 ms is real time)")
@pytest.mark.parametrize("block", [64, 128, 512])
def test_runtime(benchmark, block):
    runtime = Runtime(example_patch("violin_A4"))
    runtime.note_on()
    benchmark(lambda: [runtime.process(block) for _ in range(16000 // block)])

@pytest.mark.benchmark(group="a room of 8000 taps on 1 s at 16 kHz in blocks of 128")
@pytest.mark.parametrize("how", ["partitioned", "scipy.signal.lfilter"])
def test_room(benchmark, how):
    rng = onp.random.default_rng(0)
    room, blocks = rng.standard_normal(8000), rng.standard_normal((125, 128))
    def partitioned():
        space = PartitionedConvolution(room)
        return onp.concatenate([space.process(block) for block in blocks])
    def direct():
        state, out = onp.zeros(7999), []
        for block in blocks:
            wet, state = scipy.signal.lfilter(room, 1.0, block, zi=state)
            out.append(wet)
        return onp.concatenate(out)
    assert onp.allclose(partitioned(), direct())
    benchmark(partitioned if how == "partitioned" else direct)
