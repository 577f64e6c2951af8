"The streaming runtime against the whole-note model, SciPy, and itself at other block sizes."
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings, strategies as st
from ddsp_book.audio import amp_to_db
from ddsp_book.hybrid import DDSPHybrid, example_patch, export, render_patch
from ddsp_book.runtime import FIR, Gate, PartitionedConvolution, Runtime, Voice, table_sine

PATCH = example_patch("trumpet_C4")

def stream(process, n, sizes):
    "Call `process(start, stop)` for blocks of the given sizes, in turn, until `n` samples are made."
    blocks, start = [], 0
    while start < n:
        for size in sizes:
            stop = min(n, start + size)
            if stop > start: blocks.append(process(start, stop))
            start = stop
    return np.concatenate(blocks)

@pytest.mark.parametrize("name", ["violin_A4", "trumpet_C4", "flute_A4", "clarinet_D4", "cello_C3", "saxophone_G3"])
@pytest.mark.parametrize("sizes", [[128], [1, 77, 1000], [16000]])
def test_runtime_equals_the_model(name, sizes):
    patch = example_patch(name)
    f0_hz = patch["values"]["f0_hz"]
    runtime = Runtime(patch)
    runtime.note_on()
    played = stream(lambda a, b: runtime.process(b - a), 16000, sizes)
    assert np.abs(played - render_patch(patch, f0_hz, 1.0)).max() < 1e-6

def test_runtime_follows_pitch_and_gain_curves():
    f0_hz, gain = np.geomspace(200, 1500, 16000), np.linspace(1, 0, 16000)
    runtime = Runtime(PATCH)
    runtime.note_on()
    played = stream(lambda a, b: runtime.process(b - a, f0_hz[a:b], gain[a:b]), 16000, [100, 333])
    assert np.abs(played - render_patch(PATCH, f0_hz, gain)).max() < 1e-6

def test_silent_before_and_after():
    runtime = Runtime(PATCH, attack_s=0.01, release_s=0.01)
    assert not runtime.process(500).any(), "no note, no sound"
    runtime.note_on(440.0)
    assert np.abs(runtime.process(4000)).max() > 0.05
    runtime.note_off()
    runtime.process(4000)
    assert np.abs(runtime.process(500)).max() < 1e-12, "gate closed and room faded"

def test_notes_start_and_end_without_a_click():
    runtime = Runtime(PATCH, attack_s=0.02, release_s=0.05)
    runtime.note_on(262.0)
    on = runtime.process(8000)
    runtime.note_off()
    y = np.concatenate([on, runtime.process(4000)])
    steepest = np.abs(np.diff(y[4000:7000])).max()
    message = "no step steeper than the sound itself"
    assert np.abs(np.diff(y)).max() <= 1.05 * steepest, message

def test_legato_goes_on_and_a_new_note_starts_afresh():
    runtime = Runtime(PATCH)
    runtime.note_on(300.0); runtime.process(1000)
    phase = runtime.voice.phase
    runtime.note_on(400.0)
    assert runtime.voice.phase == phase != 0
    runtime.note_off(); runtime.process(2000); runtime.note_on(300.0)
    assert runtime.voice.phase == 0 and runtime.count == 0

@settings(deadline=None, max_examples=40)
@given(taps=st.integers(1, 700), part=st.sampled_from([1, 2, 16, 128]),
       sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_partitioned_convolution_is_convolution(taps, part, sizes):
    rng = np.random.default_rng(taps)
    h, x = rng.standard_normal(taps), rng.standard_normal(1500)
    room = PartitionedConvolution(h, part)
    assert np.allclose(stream(lambda a, b: room.process(x[a:b]), 1500, sizes), scipy.signal.lfilter(h, 1, x), atol=1e-9)

def test_fir_and_table_agree_with_scipy_and_numpy():
    h, x = np.random.default_rng(0).standard_normal((2, 64))
    fir = FIR(h)
    assert np.allclose(stream(lambda a, b: fir.process(x[a:b]), 64, [1, 5, 40]), scipy.signal.lfilter(h, 1, x))
    phase = np.linspace(-3, 1e6, 100_001)
    assert np.abs(table_sine(phase) - np.sin(2 * np.pi * (phase % 1))).max() < 2e-8

def test_no_harmonic_aliases():
    voice = Voice(np.ones(40), 16000)
    spectrum = np.abs(np.fft.rfft(voice.process(np.full(16000, 1000.0)))) / 8000
    assert np.flatnonzero(spectrum > 1e-6).tolist() == list(range(1000, 8000, 1000))

def test_gate_is_continuous_whatever_happens():
    gate, levels = Gate(1000, 0.1, 0.2), []
    for open, n in ((True, 50), (False, 20), (True, 200), (False, 500), (True, 1)):
        gate.open = open
        levels.append(gate.process(n))
    levels = np.concatenate(levels)
    assert levels.min() >= 0 and levels.max() <= 1 and np.abs(np.diff(levels)).max() <= 0.0101

def test_minutes_do_not_drift():
    voice = Voice([1.0], 16000)
    for _ in range(60): last = voice.process(np.full(16000, 440.1))
    n = np.arange(59 * 16000, 60 * 16000)
    assert np.abs(last - np.sin(2 * np.pi * ((4401 * n) % 160000) / 160000)).max() < 1e-6

def test_noiseless_and_roomless_patches_play():
    for M, L in ((0, 0), (8, 0), (0, 8)):
        patch = export(DDSPHybrid(np.ones(500), 440.0, 16000, K_harm=3, M_noise=M, L_reverb=L), "p")
        runtime = Runtime(patch)
        runtime.note_on()
        played = stream(lambda a, b: runtime.process(b - a), 500, [64])
        assert np.allclose(played, render_patch(patch, 440.0, 1.0), atol=1e-6)

@pytest.mark.parametrize("call, complaint", [
    (lambda r: r.note_on(0.0), "f0_hz"), (lambda r: r.note_on(np.nan), "f0_hz"),
    (lambda r: r.process(10, np.full(10, -1.0)), "f0_hz"), (lambda r: r.process(10, np.full(9, 440.0)), "f0_hz"),
    (lambda r: r.process(10, gain=[1.0, np.nan]), "gain"), (lambda r: r.process(-1), "n_samples"),
    (lambda r: Runtime({"format": "x"}), "patch"), (lambda r: Runtime(PATCH, attack_s=np.nan), "attack_s"),
])
def test_runtime_refuses(call, complaint):
    with pytest.raises(ValueError, match=complaint): call(Runtime(PATCH))
