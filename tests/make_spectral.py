"""Make ddsp_book/data/results/spectral.csv: how often each method finds the frequency of a sound.

    python tests/make_spectral.py [method …]    anew: all, or these
    python tests/make_spectral.py --missing     what the table does not hold yet

Three tasks with 64 random targets each. Every method starts from the same random frequencies, unless finding a start is
what it does, and may render and compare the sound 300 times per target. Its step size is the best of three on 16 other
targets. Found means: within 10 cents. Takes about 20 minutes on two cores; the same seeds give the same table up to rounding.
"""
import csv, math, sys, time

import torch
from ddsp_book.audio import DATA
from ddsp_book.spectral import (MultiScaleSpectralLoss, SpectralFeatures, TransportLoss, damped_wave, feature_distance, fit_tone,
                                spectral_peak, tone)

RATE, N, STEPS, LOW, HIGH = 16000, 4096, 300, 60.0, 6000.0
SIZES = (64, 128, 256, 512, 1024, 2048)
TASKS = {"sine": (1, HIGH, None), "noisy sine": (1, HIGH, 0.0), "harmonic tone": (8, 950.0, None)}
LRS = {"octaves": (0.005, 0.02, 0.08), "Hz": (1.0, 10.0, 100.0), "z": (0.001, 0.002, 0.006)}


def log_uniform(low, high, count, g): return low * (high / low) ** torch.rand(count, generator=g)


def targets(task, count, seed):
    "Sounds, their frequencies, and where to start: (count, N), (count,), (count,)."
    K, high, snr_db = TASKS[task]
    g = torch.Generator().manual_seed(seed)
    f_hz, start_hz = (log_uniform(LOW, high, count, g) for _ in range(2))
    amps = (0.1 + 0.9 * torch.rand(count, K, generator=g)) / torch.arange(1, K + 1)
    audio = tone(f_hz, amps, 2 * math.pi * torch.rand(count, K, generator=g), N, RATE)
    if snr_db is not None:
        noise = torch.randn(count, N, generator=g)
        audio = audio + noise * (audio.square().mean(1, keepdim=True) / 10 ** (snr_db / 10)).sqrt()
    return audio, f_hz, start_hz


# What is compared: from a target to a function of the sound --------------------------------------------------------------

def squared_error(audio): return lambda y: (y - audio).square().mean(1)

def multi_scale(audio, **options):
    loss = MultiScaleSpectralLoss(**options)
    known = loss.analyse(audio)
    return lambda y: loss.each(y, known)

def whole_frames(audio, **options): return multi_scale(audio, log=0.0, mirror=False, **options)

def log_mel(audio):
    features = SpectralFeatures(RATE)
    known = features(audio)
    return lambda y: feature_distance(features(y), known)

def coarse_first(audio): return [whole_frames(audio, n_ffts=SIZES[:k]) for k in range(1, len(SIZES) + 1)]

def optimal_transport(audio, emphasis=1.0):
    loss = TransportLoss(emphasis=emphasis)
    return lambda y: loss.each(y, audio)


# How it is searched -----------------------------------------------------------------------------------------------------

def descent(distance, unit="octaves"):
    def method(audio, start_hz, K, high, lr): return fit_tone(audio, RATE, start_hz, distance(audio), K, STEPS, lr, unit == "Hz").f0_hz
    return unit, method

def surrogate(audio, start_hz, K, lr, steps):
    "Damped waves in place of sines, compared by one long FFT as in the paper; |z| is kept at 1 or below."
    z = (0.95 * torch.exp(2j * math.pi * start_hz / RATE)).requires_grad_()
    k = torch.arange(1, K + 1)
    log_amps = ((2 * audio.square().mean(1, keepdim=True)).sqrt() / k).log().requires_grad_()
    known = torch.fft.rfft(audio, norm="ortho").abs()
    adam = torch.optim.Adam([{"params": [z], "lr": lr}, {"params": [log_amps], "lr": 0.03}], betas=(0.9, 0.99))
    fade = torch.optim.lr_scheduler.LambdaLR(adam, lambda n: min(1, 2 * (1 - n / steps)))
    for step in range(steps):
        y = (log_amps.exp()[..., None] * damped_wave(z[:, None] ** k, N)).sum(1)
        adam.zero_grad()
        (torch.fft.rfft(y, norm="ortho").abs() - known).square().mean(1).sum().backward()
        adam.step()
        fade.step()
        with torch.no_grad(): z /= z.abs().clamp(min=1)
    return (z.detach().angle().abs() * RATE / (2 * math.pi)).clamp(20, 7800)

def surrogate_then_frames(audio, start_hz, K, high, lr):
    near = surrogate(audio, start_hz, K, lr, STEPS // 2)
    return fit_tone(audio, RATE, near, whole_frames(audio), K, STEPS // 2, 0.02).f0_hz

def anywhere(count, audio, high): return log_uniform(LOW, high, (count, len(audio)), torch.Generator().manual_seed(5))

def six_starts(audio, start_hz, K, high, lr):
    fits = [fit_tone(audio, RATE, start, whole_frames(audio), K, STEPS // 6, lr) for start in anywhere(6, audio, high)]
    best = torch.stack([fit.losses[-1] for fit in fits]).argmin(0)
    return torch.stack([fit.f0_hz for fit in fits]).gather(0, best[None])[0]

def glances(audio, start_hz, K, high, lr):
    starts, distance = anywhere(STEPS // 2, audio, high), whole_frames(audio)
    amps = (2 * audio.square().mean(1, keepdim=True)).sqrt() / torch.arange(1, K + 1)
    losses = torch.stack([distance(tone(f, amps, 0 * amps, N, RATE)) for f in starts])
    return fit_tone(audio, RATE, starts.gather(0, losses.argmin(0)[None])[0], distance, K, STEPS // 2, lr).f0_hz

def peak(audio, start_hz, K, high, lr): return fit_tone(audio, RATE, spectral_peak(audio, RATE), whole_frames(audio), K, STEPS, lr).f0_hz

METHODS = {  # name: (unit of the step size, function of audio, start, harmonics, highest frequency, step size)
    "squared error, in Hz": descent(squared_error, "Hz"),
    "squared error, in octaves": descent(squared_error),
    "multi-scale as published, in Hz": descent(multi_scale, "Hz"),
    "multi-scale as published, in octaves": descent(multi_scale),
    "log-mel, in octaves": descent(log_mel),
    "whole frames, linear, in octaves": descent(whole_frames),
    "coarse first": descent(coarse_first),
    "six starts": ("octaves", six_starts),
    "150 glances": ("octaves", glances),
    "spectral peak": ("octaves", peak),
    "damped surrogate": ("z", lambda audio, start_hz, K, high, lr: surrogate(audio, start_hz, K, lr, STEPS)),
    "damped surrogate, then whole frames": ("z", surrogate_then_frames),
    "transport": descent(optimal_transport),
    "transport, then whole frames": descent(lambda audio: [optimal_transport(audio), whole_frames(audio)]),
    "transport of squared power, then whole frames": descent(lambda audio: [optimal_transport(audio, 2.0), whole_frames(audio)]),
}


def cents_off(method, task, lr, count, seed):
    audio, f_hz, start_hz = targets(task, count, seed)
    K, high, _ = TASKS[task]
    return 1200 * (METHODS[method][1](audio, start_hz, K, high, lr) / f_hz).log2().abs()


if __name__ == "__main__":
    path = DATA / "results" / "spectral.csv"
    path.parent.mkdir(exist_ok=True)
    missing = "--missing" in sys.argv
    for method in [name for name in sys.argv[1:] if name != "--missing"] or METHODS:
        for task in TASKS:
            rows = list(csv.DictReader(open(path))) if path.exists() else []
            if missing and any((row["method"], row["task"]) == (method, task) for row in rows): continue
            began = time.time()
            lrs = LRS[METHODS[method][0]]
            tried = {lr: (cents_off(method, task, lr, 16, 1) < 10).sum().item() for lr in lrs}
            lr = max(lrs, key=tried.get)
            off = cents_off(method, task, lr, 64, 2)
            rows = list(csv.DictReader(open(path))) if path.exists() else []
            rows = [r for r in rows if (r["method"], r["task"]) != (method, task)]
            rows.append({"method": method, "task": task, "targets": len(off), "found": (off < 10).sum().item(),
                         "median_cents": f"{off.median():.3g}", "step": lr})
            print(rows[-1], tried, f"{time.time() - began:.0f} s", flush=True)
            order = list(METHODS)
            rows.sort(key=lambda r: (order.index(r["method"]), list(TASKS).index(r["task"])))
            with open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
