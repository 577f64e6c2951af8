"""A training step of the lightweight model on a clip of 4 s, against the same network on the plain formulas; and playing live in blocks of 64 ms.
The source of the lightweight model took 2.2 s for such a step (an epoch of one clip)."""
import pytest
import torch
from ddsp_book.decoder import DDSPDecoder, DDSPModel
from ddsp_book.harmonic import upsample
from ddsp_book.spectral import MultiScaleSpectralLoss
from ddsp_book.transfer import Live

RATE, HOP, FRAMES = 16000, 64, 1000
G = torch.Generator().manual_seed(0)
FEATURES = {"f0_hz": 220 + 20 * torch.rand(1, FRAMES, generator=G), "loudness_db": -30 + torch.randn(1, FRAMES, generator=G),
            "mfcc": torch.randn(1, FRAMES, 30, generator=G)}
TARGET, NOISE = 0.1 * torch.randn(2, 1, FRAMES * HOP, generator=G)
LOSS = MultiScaleSpectralLoss.lightweight()


def plain_harmonics(f0_hz, levels):
    "Sine of a running sum, for every sample and harmonic at once."
    radians = (2 * torch.pi * upsample(f0_hz, HOP) / RATE).cumsum(1)
    k = torch.arange(1, levels.shape[-1] + 1)
    audible = upsample(f0_hz, HOP)[..., None] * k < RATE / 2
    return (upsample(levels, HOP) * audible * torch.sin(radians[..., None] * k)).sum(-1)


def plain_noise(bands, hiss):
    "A filter for each frame, convolved by FFT, laid over each other."
    spectra = torch.fft.rfft(NOISE.view(1, FRAMES, HOP), 2 * (hiss.shapes.shape[1] - 1)) * (bands @ hiss.shapes)
    pieces = torch.fft.irfft(spectra)
    n = pieces.shape[-1]
    total = torch.nn.functional.fold(pieces.transpose(1, 2), (1, FRAMES * HOP + n - HOP), (1, n), stride=(1, HOP))
    return total[:, 0, 0, :FRAMES * HOP]


def plain_loss(y, x):
    def spectra(audio): return [torch.stft(audio, n, n // 4, window=torch.hann_window(n), return_complex=True).abs() for n in LOSS.n_ffts]
    logs = [((a + 1e-7).log() - (b + 1e-7).log()).abs().mean() for a, b in zip(spectra(y), spectra(x))]
    return sum(logs) / len(logs) + 0.1 * (y - x).abs().mean()


def plain_step(model):
    amplitudes, bands, _ = model.synthesizer(FEATURES["f0_hz"], FEATURES["loudness_db"], FEATURES["mfcc"])
    share = model.mix.sigmoid()
    return plain_loss(share * plain_harmonics(FEATURES["f0_hz"], amplitudes) + (1 - share) * plain_noise(bands, model.hiss), TARGET)


def our_step(model): return LOSS(model(FEATURES, NOISE), TARGET)


def our_step_in_windows(model, count=16):
    "The same four seconds as 16 windows of a quarter of a second: the GRU, which takes nearly all of the time, reads them side by side."
    frames = FRAMES // count
    features = {name: x[:, :frames * count].reshape(count, frames, *x.shape[2:]) for name, x in FEATURES.items()}
    noise, target = (x[:, :frames * count * HOP].reshape(count, -1) for x in (NOISE, TARGET))
    return LOSS(model(features, noise), target)


@pytest.mark.parametrize("way", [our_step, our_step_in_windows, plain_step])
@pytest.mark.benchmark(group="a training step of the lightweight model, 4 s of sound at 16 kHz, 2 threads", warmup=True, min_rounds=5)
def test_training_step(benchmark, way):
    torch.manual_seed(0)
    model = DDSPModel()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    def step():
        adam.zero_grad()
        loss = way(model)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        return loss.item()
    first = our_step(model).item()
    assert benchmark(step) < 1.2 * first


@pytest.mark.benchmark(group="64 ms of the small decoder live, one thread", warmup=True, min_rounds=30)
def test_live(benchmark, record_property):
    torch.set_num_threads(1)
    live = Live(DDSPDecoder.small())
    f0_hz, loudness_db = torch.full((8,), 440.0), torch.full((8,), -20.0)
    assert len(benchmark(live.play, f0_hz, loudness_db)) == 1024
    if benchmark.stats: record_property("times real time", round(0.064 / benchmark.stats.stats.median, 1))
