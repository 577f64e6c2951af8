"The page's FM synths in a real browser, against a loop over samples in NumPy, against PyTorch, and in the reader's hands."
import copy, json, time
from functools import partial
import numpy as np
import pytest
import scipy.special
import torch
import make_panels
from ddsp_book.fm import FM2Op
from ddsp_book.fm6 import ALGORITHMS, FM6Op
from ddsp_book.page import instrument
import widget_page
from widget_page import NEEDS_BROWSER, PACKED, STATIC, browser, page, played, served, sound, taken_home, unpacked, visit

pytestmark = NEEDS_BROWSER
FS = 48000
FILES = sorted((STATIC.parent / "data" / "patches" / "fm6").glob("*.json"))
PRESETS = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
FM2 = {"format": "ddsp_book.patch", "version": 1, "synth": "fm2", "name": "Two operators", "values": {"f_car": 440, "f_mod": 110, "I": 2}}


# --- the page -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    tags = instrument(list(PRESETS.values()), "Six operators").html + instrument(FM2, "Two operators").html
    for synth in ("fm2", "fm6"): tags = tags.replace(f"<ddsp-{synth} ", f'<ddsp-{synth} id="{synth}" ')
    body = '<meta name="viewport" content="width=device-width">' + tags
    with served(tmp_path_factory.mktemp("site"), body) as addresses: yield addresses


# --- six operators, one sample after the other -----------------------------------------------------------

def envelopes(v, n):
    "(patches, 6, n), by the definition: rise, fall to sustain, and the clock of both stops when the key is let go."
    t, note = np.arange(n) / FS, v["note_s"][:, None, None]
    c = np.where(v["curve"] == 0, 1e-9, v["curve"])[:, None, None]
    part = lambda t, length: -np.expm1(-c * np.clip(t / length[..., None], 0, 1)) / -np.expm1(-c)
    held = np.minimum(t, note)
    level = part(held, v["attack_s"]) - (1 - v["sustain"][..., None]) * part(held - v["attack_s"][..., None], v["decay_s"])
    return level * (1 - part(t - note, v["release_s"]))

def reference(patches, n):
    "(patches, n): six operators, all patches side by side, from the equations in float64."
    v = {key: np.array([p["values"][key] for p in patches], float) for key in patches[0]["values"]}
    routing, back, carriers = np.zeros((len(patches), 6, 6)), np.zeros((len(patches), 6, 6)), np.zeros((len(patches), 6))
    for b, number in enumerate(v["algorithm"]):
        for source, target in ALGORITHMS[number]["edges"]: routing[b, target - 1, source - 1] = 1
        source, target = ALGORITHMS[number]["feedback"]
        back[b, target - 1, source - 1] = v["feedback"][b] / 2
        carriers[b, np.array(ALGORITHMS[number]["carriers"]) - 1] = v["velocity"][b] / len(ALGORITHMS[number]["carriers"])
    f_hz = np.where(v["fixed"] > 0, v["fixed_hz"], v["f0_hz"][:, None] * v["ratio"] * 2 ** (v["detune_cents"] / 1200))
    amplitude = envelopes(v, n) * (v["level"] * (f_hz < FS / 2))[..., None]
    y, last, before, out = np.zeros((len(patches), 6)), 0, 0, np.empty((len(patches), n))
    for i in range(n):
        past = np.einsum("bij,bj->bi", back, last + before) if i else 0 * y
        before, y = last, np.zeros_like(y)
        for op in range(5, -1, -1):
            moved = np.einsum("bj,bj->b", routing[:, op], y) + past[:, op]
            y[:, op] = amplitude[:, op, i] * np.sin(2 * np.pi * (i * f_hz[:, op] / FS + moved))
        last, out[:, i] = y, (carriers * y).sum(1)
    return out

def any_patch(algorithm, feedback):
    "A patch that has something of everything, another one for each algorithm."
    rng = np.random.default_rng(algorithm)
    six = lambda low, high: rng.uniform(low, high, 6).tolist()
    values = dict(algorithm=algorithm, ratio=rng.choice([0.5, 1, 1, 2, 3, 1.41], 6).tolist(), fixed=[0, 0, 0, int(algorithm % 3 == 0), 0, 0],
                  fixed_hz=[1000.0] * 6, detune_cents=six(-20, 20), level=six(0.2, 0.5), feedback=feedback, attack_s=six(0.001, 0.02),
                  decay_s=six(0.005, 0.1), sustain=six(0, 1), release_s=six(0.01, 0.03), curve=float(algorithm % 7 - 2) * 1.5,
                  f0_hz=float(rng.uniform(60, 900)), note_s=0.05, velocity=0.7)
    return {"format": "ddsp_book.patch", "version": 1, "synth": "fm6", "name": f"Algorithm {algorithm}", "values": values}

N = 4800
ANY = [any_patch(algorithm, feedback) for algorithm in ALGORITHMS for feedback in (0.0, 0.15)]
HIGH = []  # f0 = 8 kHz at 48 kHz: some operators reach half the rate, which is 3 × f0, and are silent
for algorithm, ratio in {1: [1, 2, 3, 1, 1, 1], 4: [1, 1, 1, 1, 3, 0.5], 5: [1, 2.999, 3, 1, 0.5, 4], 6: [1, 1, 1, 1, 1, 5], 18: [0.5, 1, 3.001, 4, 1, 1],
                         32: [3, 1, 3, 0.25, 4, 1]}.items():
    HIGH.append(any_patch(algorithm, 0.15))
    HIGH[-1]["values"].update(ratio=ratio, detune_cents=[0.0] * 6, f0_hz=8000.0, fixed=[0] * 6)
SHORT = copy.deepcopy(list(PRESETS.values()))
for patch in SHORT: patch["values"]["note_s"] = 0.05  # let go while we listen

NOTES = ANY + HIGH + SHORT

@pytest.fixture(scope="module")
def expected(): return reference(NOTES, N)

def test_the_browser_has_the_32_algorithms(sound):
    got = sound.js("return ddsp.makeDSP().ALGORITHMS")
    assert len(got) == 32
    for number, entry in enumerate(got, 1):
        ours = ALGORITHMS[number]
        assert {tuple(e) for e in entry["edges"]} == set(ours["edges"]), number
        assert (entry["carriers"], tuple(entry["feedback"])) == (list(ours["carriers"]), tuple(ours["feedback"])), number

def test_the_browser_computes_what_the_equations_say(sound, expected, record_property):
    "All algorithms, feedback off and on, and all presets: every sample."
    got = unpacked(sound.js(PACKED + f"return arguments[0].map((patch) => packed(ddsp.makeDSP().renderFM6(patch, {FS}, {N})))", NOTES), float)
    errors = np.abs(got - expected).max(1)
    record_property("max_error", errors.max())
    print(f"max error {errors.max():.1e}")
    assert np.abs(expected).max(1).min() > 0.02 and errors.max() < 1e-5

def test_the_audio_thread_plays_the_same(sound, expected, record_property):
    "The same notes through an OfflineAudioContext, as live playing would start and stop them."
    got = played(sound, NOTES, N, FS)
    errors = np.abs(got - expected).max(1)
    record_property("max_error", errors.max())
    print(f"max error {errors.max():.1e}")
    assert errors.max() < 1e-5

@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-5), (torch.float32, 2e-4)], ids=str)
@pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
def test_python_plays_the_same(expected, record_property, dtype, tolerance):
    "What the browser agrees with, PyTorch agrees with too."
    v = {key: torch.tensor([p["values"][key] for p in NOTES], dtype=dtype) for key in ANY[0]["values"]}
    got = FM6Op(FS)(v, N)
    errors = np.abs(got.double().numpy() - expected).max(1)
    record_property("max_error", errors.max())
    print(f"max error {errors.max():.1e}")
    assert errors.max() < tolerance

def test_blocks_of_any_size_make_the_same_sound(sound):
    patch, sizes = ANY[9], [1, 7, 128, 129, 1000]
    got = sound.js(f"""const {{ FM6Voice }} = ddsp.makeDSP(), [patch, sizes] = arguments, v = patch.values;
        return sizes.map((size) => {{
          const voice = new FM6Voice(v, {FS}, v.f0_hz, 1), out = new Float64Array(2000);
          voice.releaseAt(1234.5);
          for (let at = 0; at < 2000; at += size) voice.add(out, at, Math.min(2000, at + size));
          return [...out];
        }})""", patch, sizes)
    assert np.abs(np.array(got) - got[2]).max() < 1e-9

def test_every_preset_is_ours_and_loads(record_property):
    panel = FM6Op().panel
    for path in FILES:
        assert panel.load(path)["algorithm"].shape == (1,)
        assert PRESETS[path.stem]["origin"] == "made for this book, CC0"
    assert len(FILES) >= 8

def test_the_chapter_offers_them_all_and_opens_with_the_electric_piano():
    cells = json.loads((STATIC.parents[1] / "nbs" / "10_fm6.ipynb").read_text("utf-8"))["cells"]
    exec(next("".join(c["source"]) for c in cells if "instrument(presets" in "".join(c["source"])), found := {})
    names = [patch["name"] for patch in found["presets"]]
    assert names[0] == "Electric piano" and sorted(names) == sorted(patch["name"] for patch in PRESETS.values())

def test_no_preset_exceeds_full_scale(sound):
    peaks = sound.js(f"""const {{ renderFM6 }} = ddsp.makeDSP();
        return arguments[0].flatMap((p) => [0.5, 1, 2].map((x) => renderFM6(p, {FS}, {FS}, x * p.values.f0_hz).reduce((m, y) => Math.max(m, Math.abs(y)), 0)))""",
        list(PRESETS.values()))
    assert 0.1 < min(peaks) and max(peaks) < 0.8

def test_an_operator_that_climbs_past_half_the_rate_fades_out(sound):
    "Turned while it sounds, it leaves without a click; and comes back."
    got = np.array(sound.js(f"""const {{ FM6Voice, FM2Voice }} = ddsp.makeDSP(), six = arguments[0].values, two = {{ f_car: 440, f_mod: 100, I: 2 }};
        const turn = [[six, 'ratio', [[1, 1, 1, 1, 1, 1], [80, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]], [two, 'f_car', [440, 30000, 440]], [two, 'f_mod', [100, 30000, 100]]];
        return turn.map(([values, knob, steps]) => {{
          const voice = values === six ? new FM6Voice(six, {FS}, 440, 1) : new FM2Voice(two, {FS}), out = new Float64Array(3 * 1280);
          steps.forEach((to, i) => {{
            values[knob] = to;
            for (let at = 1280 * i; at < 1280 * (i + 1); at += 128) voice.add(out, at, at + 128);
          }});
          return [...out];
        }})""", {"values": {**PRESETS["organ"]["values"], "algorithm": 1, "level": [1, 0, 0, 0, 0, 0], "attack_s": [0.001] * 6, "sustain": [1] * 6}}))
    assert np.abs(got[:2, 1280 + 128:2560]).max() == 0 and np.abs(got[:2, 2560:]).max() > 0.5
    t = np.arange(128, 1280) / FS  # without its modulator the carrier is a sine
    carrier = got[2, 1280 + 128:2560]
    assert np.abs(carrier - np.sin(2 * np.pi * 440 * (t + 1280 / FS))).max() < 1e-6
    assert np.abs(np.diff(got[0])).max() < 0.08 and np.abs(np.diff(got[1])).max() < 0.1  # as steep as the tones themselves

def test_voices_are_never_more_than_the_processor_can_bear(sound):
    count, peak = sound.js("""const synth = new (ddsp.makeDSP().FM6Synth)(arguments[0], 48000), out = new Float32Array(480);
        let peak = 0;
        for (let i = 0; i < 300; i++) {
          synth.noteOn(i, 100 + i, 1);
          synth.noteOff(i - 3);
          synth.process(out);
          peak = Math.max(peak, ...out.map(Math.abs));
        }
        return [synth.voices.length, peak]""", PRESETS["bell"])
    assert count <= 50 and 0.5 < peak <= 1


# --- two operators -----------------------------------------------------------------------------------------

def test_bessel_functions(sound):
    for index in (0, 0.5, 2, 5, 20):
        lines = sound.js("return ddsp.sidebands(20000, 1, arguments[0], 96000)", index)
        got = {line["k"]: line["amp"] for line in lines}
        for k in range(-30, 31): assert got.get(k, 0) == pytest.approx(scipy.special.jv(k, index), abs=2e-5)

@pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
@pytest.mark.parametrize("f_car, f_mod, index", [(440, 110, 2), (440, 440, 5), (300, 700, 3), (440, 123.4, 1), (9000, 6000, 4), (220, 0.5, 0),
    (440, 24000, 3), (440, 23999, 3), (440, 30000, 2), (24000, 110, 2), (23999, 110, 2), (36000, 60000, 2)])
def test_the_lines_add_up_to_the_sound(sound, f_car, f_mod, index):
    "Also where they fold back at 0 and at half the rate, which silences an operator that reaches it; and JavaScript, the lines and PyTorch agree."
    n, t = 2000, np.arange(2000) / FS
    lines = sound.js(f"return ddsp.sidebands(...arguments, {FS})", f_car, f_mod, index)
    predicted = sum(line["amp"] * np.sin(2 * np.pi * line["hz"] * t) for line in lines)
    got = sound.js(f"""const [f_car, f_mod, I] = arguments, out = new Float64Array({n});
        new (ddsp.makeDSP().FM2Voice)({{ f_car, f_mod, I }}, {FS}).add(out, 0, {n});
        return [...out]""", f_car, f_mod, index)
    one = lambda x: torch.tensor([x], dtype=torch.float64)
    assert np.abs(np.array(got) - FM2Op(FS)(one(f_car), one(f_mod), one(index), n)[0].numpy()).max() < 1e-6
    assert np.abs(predicted - np.array(got)).max() < 2e-4


# --- in the reader's hands -----------------------------------------------------------------------------------

ROOT = "document.getElementById('fm6').shadowRoot"
said, values = partial(widget_page.said, id="fm6"), partial(widget_page.values, id="fm6")

def test_the_page_has_the_knobs_that_python_has():
    assert make_panels.FILE.read_text("utf-8") == make_panels.script(*make_panels.panels())

def test_both_become_ready(page): assert page.js("return document.querySelectorAll('[failed]').length") == 0

def test_typed_notes_sound_within_full_scale(page):
    from selenium.webdriver import ActionChains
    page.focus("fm6", ".piano")
    ActionChains(page.driver, duration=0).key_down("a").key_down("d").key_down("g").perform()
    page.wait("document.getElementById('fm6').held.size === 3 && document.getElementById('fm6').engine.kind === 'worklet'")
    assert 0.05 < page.peak(0.4) <= 1
    ActionChains(page.driver, duration=0).key_up("a").key_up("d").key_up("g").perform()
    page.wait("document.getElementById('fm6').held.size === 0")
    page.js("document.getElementById('fm6').engine.close(); document.getElementById('fm6').engine = null")
    time.sleep(0.3)

def test_presets_are_chosen_and_given_back_unchanged(page):
    for i, (name, patch) in enumerate(PRESETS.items()):
        page.js(f"const select = {ROOT}.querySelector('select'); select.value = {i}; select.onchange({{ target: select }})")
        assert said(page) == "Opened."
        assert json.loads(page.js("return document.getElementById('fm6').patchText()")) == patch, name
        assert f"Algorithm {patch['values']['algorithm']}" in page.js(f"return {ROOT}.querySelector('.number').textContent")

def test_the_algorithm_is_chosen_with_the_keyboard(page):
    from selenium.webdriver import Keys
    page.js("document.getElementById('fm6').open(arguments[0])", json.dumps(PRESETS["electric_piano"]))
    page.focus("fm6", ".number")
    page.keys(Keys.ENTER)
    assert page.js(f"return {ROOT}.activeElement.ariaLabel").startswith("Algorithm 5: 2 modulates 1")
    page.keys(Keys.END, Keys.ARROW_LEFT)
    assert values(page)["algorithm"] == 31
    assert page.js(f"return {ROOT}.querySelector('.map svg').getAttribute('aria-label')") == "6 modulates 5; 1, 2, 3, 4, 5 sound; feedback on 6"
    page.keys(Keys.ESCAPE)
    assert page.js(f"return [{ROOT}.activeElement.textContent, {ROOT}.querySelector('.algorithms').hidden]") == ["Algorithm 31", True]
    page.click("fm6", ".stepper .octave", 1)
    page.click("fm6", ".stepper .octave", 1)
    assert values(page)["algorithm"] == 1  # and round again
    page.js("document.getElementById('fm6').reset()")
    assert values(page)["algorithm"] == 5

def test_every_diagram_shows_six_operators_apart_from_each_other(page):
    boxes = page.js(f"""return [...{ROOT}.querySelectorAll('.algorithm-choice')].map((choice) => [...choice.querySelectorAll('rect')].map(
        (r) => ['x', 'y'].map((name) => +r.getAttribute(name))))""")
    assert len(boxes) == 32
    for number, places in enumerate(boxes, 1):
        places = dict(enumerate(places, 1))
        assert len(places) == 6 and min(x for x, _ in places.values()) >= 0 and max(x for x, _ in places.values()) <= 160, number
        gaps = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for i, a in places.items() for j, b in places.items() if i < j]
        assert min(gaps) >= 25, number
        assert all(places[source][1] < places[target][1] for source, target in ALGORITHMS[number]["edges"]), number

def test_operators_are_turned_and_play_the_same_in_python(page, tmp_path):
    from selenium.webdriver import Keys
    page.js("document.getElementById('fm6').open(arguments[0])", json.dumps(PRESETS["electric_piano"]))
    page.focus("fm6", ".badge")
    page.keys(Keys.ARROW_DOWN)
    assert page.js(f"return {ROOT}.activeElement.ariaLabel") == "Operator 2, modulator"
    page.js(f"""const set = (label, value) => {{
          const input = {ROOT}.querySelector(`[aria-label="${{label}}"]`);
          input.value = value;
          if (input.type === 'range') input.oninput(); else input.onchange();
        }};
        set('Ratio, exactly', '3,5'); set('Attack', 0.5); set('Level of operator 2', 0.3); set('Feedback', 0.2)""")
    v = values(page)
    assert (v["ratio"][1], v["level"][1], v["feedback"]) == (3.5, 0.3, 0.2) and v["attack_s"][1] == pytest.approx(0.1)
    assert page.js(f"return {ROOT}.querySelectorAll('.tuning')[1].textContent") == "× 3.50"
    page.click("fm6", ".operator-head button")  # fixed frequency
    assert values(page)["fixed"] == [0, 1, 0, 0, 0, 0]
    assert page.js(f"return {ROOT}.querySelectorAll('.tuning')[1].textContent") == "440 Hz"
    text, sound = page.js(f"""const e = document.getElementById('fm6'), text = e.patchText();
        return [text, [...ddsp.makeDSP().renderFM6(JSON.parse(text), {FS}, 2000)]]""")
    (tmp_path / "edited.json").write_text(text, encoding="utf-8")
    patch = FM6Op().panel.load(tmp_path / "edited.json")
    assert json.loads(text)["name"].endswith("(edited)")
    assert np.abs(FM6Op(FS)(patch, 2000)[0].numpy() - sound).max() < 1e-4

def test_knobs_are_heard_while_the_note_sounds(page):
    page.js("document.getElementById('fm6').open(arguments[0])", json.dumps(PRESETS["organ"]))
    page.js("document.getElementById('fm6').noteOn('x', 60, 1)")
    page.wait("document.getElementById('fm6').engine.kind === 'worklet'")
    time.sleep(0.3)
    before = page.peak(0.2)
    page.js("for (let i = 0; i < 6; i++) document.getElementById('fm6').turn('level', 0.01, i)")
    time.sleep(0.3)
    assert page.peak(0.2) < 0.1 * before
    page.js("document.getElementById('fm6').noteOff('x'); document.getElementById('fm6').reset()")

def test_patches_are_checked_before_they_sound(page):
    def opened(**changed):
        patch = copy.deepcopy(PRESETS["bell"])
        patch["values"] = {key: value for key, value in {**patch["values"], **changed}.items() if value is not None}
        page.js("document.getElementById('fm6').open(arguments[0])", json.dumps(patch))
        return said(page)
    assert opened(algorithm=33) == "Not opened. algorithm: expected a number from 1 to 32, found 33."
    assert opened(algorithm=4.5) == "Not opened. algorithm: expected a whole number, found 4.5."
    assert opened(ratio=[1] * 5) == "Not opened. ratio: expected 6 numbers, found 5."
    assert opened(ratio=[1, 1, 0, 1, 1, 1]) == "Not opened. ratio: number 3 is 0."
    assert opened(attack_s=[1, 1, 1, 1, 1, None]) == "Not opened. attack_s: number 6 is null."
    assert opened(wobble=1) == "Not opened. wobble: this synth has no such knob."
    assert opened(feedback=None).startswith("Not opened. feedback: expected a number")
    assert opened() == "Opened."

@pytest.mark.parametrize("id", ["fm6", "fm2"])
def test_a_note_can_be_taken_home_as_wav(page, id):
    audio, rate = taken_home(page, id)
    assert rate == FS and len(audio) > 1.5 * FS and 0.05 < np.abs(audio).max() <= 1

def test_two_operators_say_what_is_silent(page):
    words = lambda: page.js("return document.getElementById('fm2').shadowRoot.querySelector('p.words').textContent")
    e = "document.getElementById('fm2')"
    assert words() == "Lines at 440 Hz ± k · 110 Hz, ratio 0.25. Nearly all of the power lies in a band of 660 Hz (Carson), shaded."
    page.js(f"{e}.turn('I', 0)")
    assert words() == "One line at 440 Hz. At index 0 the modulator moves nothing."
    page.js(f"{e}.reset(); {e}.turn('f_mod', 5000); {e}.noteOn('x', 105, 0.8)")
    assert words() == "One line at 3520 Hz. The modulator, at 40000 Hz, lies above 24000 Hz, half the sample rate: silent."
    page.js(f"{e}.turn('f_car', 5000)")  # a held key keeps what it transposes by
    assert words() == "A carrier of 40000 Hz lies above 24000 Hz, half the sample rate: silent."
    page.js(f"{e}.turn('f_car', 880)")
    assert words() == "One line at 7040 Hz. The modulator, at 40000 Hz, lies above 24000 Hz, half the sample rate: silent."
    page.js(f"{e}.reset()")
    assert words().startswith("Lines at 3520 Hz ± k · 880 Hz")
    page.js(f"{e}.noteOff('x'); {e}.reset()")
    assert words().startswith("Lines at 440 Hz")

def test_the_tone_is_held_while_its_knobs_turn(page):
    from selenium.webdriver import Keys
    page.focus("fm2", ".play")
    page.keys(Keys.ENTER)
    page.wait("document.getElementById('fm2').engine && document.getElementById('fm2').engine.kind === 'worklet'")
    assert 0.5 < page.peak(0.3) <= 1
    page.js("""const root = document.getElementById('fm2').shadowRoot, set = (label, text) => {
          const input = root.querySelector(`[aria-label="${label}, exactly"]`);
          input.value = text;
          input.onchange();
        };
        set('Carrier', '1000 Hz'); set('Modulator', '300'); set('Index', '0')""")
    assert values(page, id="fm2") == {"f_car": 1000, "f_mod": 300, "I": 0}
    time.sleep(0.4)
    x = np.array(page.js(f"const x = new Float32Array(4096); ddsp.output({FS}).analyser.getFloatTimeDomainData(x); return [...x]"))
    assert np.argmax(np.abs(np.fft.rfft(x * np.hanning(4096)))) * FS / 4096 == pytest.approx(1000, abs=12)
    page.js("document.getElementById('fm2').shadowRoot.activeElement.blur()")
    assert page.js("return document.getElementById('fm2').held.size") == 1  # who looks elsewhere still hears it
    page.focus("fm2", ".play")
    page.keys(Keys.ENTER)
    page.wait("document.getElementById('fm2').held.size === 0")
    time.sleep(0.5)
    assert page.level() < 1e-3
    page.js("document.getElementById('fm2').reset()")

def test_nothing_is_cut_off_on_a_phone(browser, site):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    try:
        page = visit(browser, site["file"], FS)
        page.js("document.getElementById('fm6').choose(true)")
        over = page.js("""return ['fm6', 'fm2'].flatMap((id) => [...document.getElementById(id).shadowRoot.querySelectorAll('*')].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width && (box.right > innerWidth || box.left < 0);
          }).map((e) => e.className.baseVal || e.className || e.tagName))""")
        assert over == [] and page.js("return document.documentElement.scrollWidth") == 380
    finally: browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
