"""How many notes the page's synths sound at once, on one core, in headless Chromium: `make bench`.
The tables say how long a second of 64 notes takes; the lines below them, how many fit into that second."""
import pytest
from widget_page import NEEDS_BROWSER, browser, served, visit

pytestmark = NEEDS_BROWSER
VOICES = 64
WIRED = {1: "a chain of four, feedback", 4: "a loop of three", 5: "three pairs, feedback", 22: "one moves three, feedback", 32: "all side by side, feedback"}

@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    with served(tmp_path_factory.mktemp("site"), "") as addresses: yield visit(browser, addresses["http"], 48000)

def values(algorithm):
    "All six operators sound for ever, all envelopes move for a while, and there is feedback."
    six = lambda x: [x] * 6
    return dict(algorithm=algorithm, ratio=[1, 2, 1.01, 3, 0.5, 1.41], fixed=six(0), fixed_hz=six(440), detune_cents=six(3), level=six(0.3), feedback=0.15,
                attack_s=six(0.5), decay_s=six(20), sustain=six(0.8), release_s=six(1), curve=3, f0_hz=220, note_s=60, velocity=1)

def measure(benchmark, page, record_property, name, synth, patch):
    page.js("""const [kind, patch, voices] = arguments, synth = window.synth = new (ddsp.makeDSP().synths[kind])(patch, 48000);
        synth.most = voices;
        for (let i = 0; i < voices; i++) synth.noteOn(i, 100 + 3 * i, 0.5)""", synth, {"values": patch}, VOICES)
    took = []
    def second():
        took.append(page.js("""const out = new Float32Array(128), start = performance.now();
            for (let i = 0; i < 375; i++) synth.process(out);
            return performance.now() - start"""))
    benchmark.pedantic(second, rounds=9, warmup_rounds=2)
    assert page.js("return synth.voices.length") == VOICES
    best, *_, median = sorted(took[2:])[:5]
    record_property(f"{name}: notes in real time on one core, median and best", [round(1000 * VOICES / ms) for ms in (median, best)])

@pytest.mark.parametrize("algorithm", WIRED)
@pytest.mark.benchmark(group="the page: 1 s of 64 notes of six operators at 48 kHz (1000 ms is real time)")
def test_six_operators(benchmark, page, record_property, algorithm):
    measure(benchmark, page, record_property, f"FM6, algorithm {algorithm}, {WIRED[algorithm]}", "fm6", values(algorithm))

@pytest.mark.benchmark(group="the page: 1 s of 64 notes at 48 kHz, two operators (1000 ms is real time)")
def test_two_operators(benchmark, page, record_property):
    measure(benchmark, page, record_property, "FM2", "fm2", {"f_car": 440, "f_mod": 110, "I": 2})
