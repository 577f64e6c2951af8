"The page's subtractive synth in a real browser, against PyTorch and SciPy, and in the reader's hands."
import copy, json, time
from functools import partial
import numpy as np
import pytest
import scipy.signal
import torch
from ddsp_book import filters
from ddsp_book.knobs import Knob
from ddsp_book.page import instrument
from ddsp_book.subtractive import FILTERS, SHAPES, SubtractiveSynth
import widget_page
from widget_page import NEEDS_BROWSER, PACKED, STATIC, browser, page, played, served, sound, taken_home, unpacked, visit

pytestmark = NEEDS_BROWSER
FS, N = 48000, 9600
FILES = sorted((STATIC.parent / "data" / "patches" / "subtractive").glob("*.json"))
PRESETS = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
PANEL = SubtractiveSynth().panel
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> & </script><script>document.title='taken'</script>"


# --- the page -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    named = {**PRESETS["bass"], "name": HOSTILE}
    tags = instrument([*PRESETS.values(), named], "Oscillators and a filter").html.replace("<ddsp-subtractive ", '<ddsp-subtractive id="sub" ')
    with served(tmp_path_factory.mktemp("site"), '<meta name="viewport" content="width=device-width">' + tags) as addresses: yield addresses

said, values = partial(widget_page.said, id="sub"), partial(widget_page.values, id="sub")
ROOT = "document.getElementById('sub').shadowRoot"
def open_patch(page, patch): page.js("document.getElementById('sub').open(arguments[0])", patch if isinstance(patch, str) else json.dumps(patch))


# --- the same sound as in Python ------------------------------------------------------------------------

def packed(values, name):
    return {"format": "ddsp_book.patch", "version": 1, "synth": "subtractive", "name": name, "values": values}

def any_patches():
    "Knobs anywhere, knobs at their ends, and each filter with each shape; all let go while we listen."
    draw = torch.Generator().manual_seed(11)
    anywhere = torch.rand(20, PANEL.size, generator=draw, dtype=torch.float64)
    ends = torch.rand(12, PANEL.size, generator=draw, dtype=torch.float64).round()
    table = PANEL.from_unit(torch.cat([anywhere, ends]))
    table["filter"][:8] = torch.arange(8) % 4
    rows = [{name: float(value[i]) for name, value in table.items()} for i in range(32)]
    default = {name: float(value[0]) for name, value in PANEL.defaults(dtype=torch.float64).items()}
    for kind in range(4):
        for i, shape in enumerate([*SHAPES, "noise"]):
            rows.append({**default, "saw": 0.0, "filter": kind, shape: 0.8, "f0_hz": 100.0 * (1 + kind + 3 * i), "second": 0.5,
                         "resonance": 2.0, "sweep_octaves": 2.0, "attack_s": 0.002, "filter_attack_s": 0.04, "key_tracking": 0.5})
    rng = np.random.default_rng(0)
    return [packed({**row, "filter": int(row["filter"]), "note_s": int(rng.integers(100, 8000)) / FS}, f"Patch {i}") for i, row in enumerate(rows)]

ANY = any_patches()
SHORT = copy.deepcopy(list(PRESETS.values()))
for patch in SHORT: patch["values"]["note_s"] = 0.125

def in_python(patches, n, dtype=torch.float64):
    table = {name: torch.tensor([patch["values"][name] for patch in patches], dtype=dtype) for name in PANEL.knobs}
    with torch.no_grad(): return SubtractiveSynth(FS)(table, n).double().numpy()

@pytest.fixture(scope="module")
def expected(): return in_python(ANY + SHORT, N)

def say(record_property, name, value):
    record_property(name, value)
    print(f"{name.replace('_', ' ')}: {value:.2g}")

def test_the_browser_computes_what_python_computes(sound, expected, record_property):
    "All presets, and patches with all that a panel can hold: every sample."
    got = unpacked(sound.js(PACKED + f"return arguments[0].map((patch) => packed(ddsp.makeDSP().renderSubtractive(patch, {FS}, {N})))", ANY + SHORT), float)
    errors = np.abs(got - expected).max(1)
    say(record_property, "max_error", errors.max())
    assert np.abs(expected).max(1)[-len(SHORT) - 20:].min() > 0.01  # there is something to compare
    assert errors.max() < 2e-6, ANY[errors[:len(ANY)].argmax()]

def test_the_audio_thread_plays_the_same(sound, expected, record_property):
    "The same notes through an OfflineAudioContext, as live playing would start and stop them."
    got, loud = played(sound, ANY + SHORT, N, FS), np.abs(expected).max(1) > 1
    errors = np.abs(got - expected).max(1)[~loud]
    say(record_property, "max_error", errors.max())
    assert errors.max() < 2e-6 and loud.sum() < 8
    assert np.abs(got).max() <= 1  # where resonance went further, the limiter held it

def test_python_in_float32_plays_the_same(expected, record_property):
    errors = np.abs(in_python(ANY + SHORT, N, torch.float32) - expected).max(1)
    say(record_property, "max_error", errors.max())
    assert errors.max() < 1e-3

def test_blocks_of_any_size_make_the_same_sound(sound):
    "Also where the first one ends in the middle of an attack, and of the release."
    sizes = [1, 7, 128, 129, 1000]
    got = np.array(sound.js(f"""const {{ SubtractiveVoice }} = ddsp.makeDSP(), [v, sizes] = arguments;
        return sizes.map((size) => {{
          const voice = new SubtractiveVoice(v, {FS}, v.f0_hz, 1), out = new Float64Array(4000);
          voice.releaseAt(1234.5);
          for (let at = 0; at < 4000; at += size) voice.add(out, at, Math.min(4000, at + size));
          return [...out];
        }})""", PRESETS["brass"]["values"], sizes))
    assert np.abs(got).max() > 0.05 and np.abs(got - got[2]).max() < 1e-9

def test_the_picture_of_the_filter_is_its_response(sound):
    "Against SciPy's frequency response of the coefficients that Python filters with."
    hz = np.geomspace(20, 20000, 50)
    for kind, name in enumerate(FILTERS):
        for cutoff_hz, q in ((20, 0.5), (300, 8), (5000, 0.7071), (0.45 * FS, 20)):
            shape = [filters.lowpass, filters.lowpass, filters.bandpass, filters.highpass][kind]
            b, a = (c.numpy() for c in shape(torch.tensor(float(cutoff_hz)).double(), torch.tensor(q).double(), FS))
            want = np.abs(scipy.signal.freqz(b, a, hz, fs=FS)[1])
            if kind == 1:
                b, a = (c.numpy() for c in shape(torch.tensor(float(cutoff_hz)).double(), torch.tensor(0.5**0.5).double(), FS))
                want = want * np.abs(scipy.signal.freqz(b, a, hz, fs=FS)[1])
            got = sound.js(f"const {{ filterGain }} = ddsp.makeDSP(); return arguments[3].map((hz) => filterGain(arguments[0], arguments[1], arguments[2], {FS}, hz))",
                           kind, cutoff_hz, q, hz.tolist())
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7, err_msg=name)

@pytest.mark.parametrize("knob", [Knob("a", -3, 5, 0), Knob("a", 30, 12000, 100, curve="log"), Knob("a", 0, 2, 1, curve="db"),
                                  Knob("a", 1, 32, 1, curve="integer"), Knob("a", 0, 3, 0, curve="choice")], ids=lambda knob: knob.curve)
def test_knobs_turn_as_in_python(sound, knob):
    u = np.linspace(0, 1, 101)
    values, back = sound.js("""const [turn, position] = ddsp.CURVES[arguments[0]], [, low, high, us] = arguments, values = us.map((u) => turn(u, low, high));
        return [values, values.map((x) => position(x, low, high))]""", knob.curve, knob.low, knob.high, u.tolist())
    want = knob.turn(torch.tensor(u))
    np.testing.assert_allclose(values, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back, knob.position(want), rtol=1e-9, atol=1e-12)


# --- presets -----------------------------------------------------------------------------------------------

def test_every_preset_is_ours_and_loads():
    for path in FILES:
        assert PANEL.load(path)["filter"].shape == (1,)
        assert PRESETS[path.stem]["origin"] == "made for this book, CC0"
    assert len(FILES) >= 8
    assert {patch["values"]["filter"] for patch in PRESETS.values()} >= {0, 1, 2}

def test_presets_are_heard_and_stay_within_full_scale(sound, record_property):
    "Each as it stands, an octave lower and an octave higher."
    levels = np.array(sound.js(f"""const {{ renderSubtractive }} = ddsp.makeDSP();
        return arguments[0].map((p) => [0.5, 1, 2].map((x) => {{
          const y = renderSubtractive(p, {FS}, {FS}, x * p.values.f0_hz), held = y.subarray(0, Math.min(1, p.values.note_s) * {FS});
          return [y.reduce((m, v) => Math.max(m, Math.abs(v)), 0), Math.sqrt(held.reduce((s, v) => s + v * v, 0) / held.length)];
        }}))""", list(PRESETS.values())))
    for name, row in zip(PRESETS, levels): print(f"{name:9} peak {row[1, 0]:.2f}  rms {20 * np.log10(row[1, 1]):.1f} dB")
    assert levels[..., 0].max() < 0.8 and levels[..., 0].min() > 0.1
    assert 20 * np.log10(levels[:, 1, 1].max() / levels[:, 1, 1].min()) < 18  # nobody reaches for the volume


# --- what may go wrong ---------------------------------------------------------------------------------------

def test_no_panel_position_makes_noise_of_numbers(sound, record_property):
    "Knobs at all kinds of ends, a minute long: finite, and not much above full scale."
    draw = torch.Generator().manual_seed(5)
    table = PANEL.from_unit(torch.rand(8, PANEL.size, generator=draw, dtype=torch.float64).round())
    patches = [packed({**{name: float(value[i]) for name, value in table.items()}, "filter": i % 4, "note_s": 59.0}, "") for i in range(8)]
    peaks = sound.js(f"""const {{ renderSubtractive }} = ddsp.makeDSP();
        return arguments[0].map((p) => renderSubtractive(p, {FS}, 60 * {FS}).reduce((m, y) => (Number.isFinite(y) ? Math.max(m, Math.abs(y)) : NaN), 0))""", patches)
    assert all(peak is not None and peak < 12 for peak in peaks), peaks
    say(record_property, "peak", max(peaks))

def test_nothing_but_numbers_leaves_the_audio_thread(sound):
    "A knob or a key that is no number makes its own note silent, and no later one."
    got = sound.later("""const [patch, fs] = args, context = new OfflineAudioContext(1, fs, fs);
        const events = [[0, 'noteOn', 'a', 220, 1], [4800, 'set', 'cutoff_hz', NaN], [9600, 'set', 'saw', Infinity], [14400, 'noteOn', 'b', NaN, NaN],
          [19200, 'noteOff', 'a'], [19200, 'noteOff', 'b'], [24000, 'set', 'cutoff_hz', 900], [24000, 'set', 'saw', 1], [38400, 'noteOn', 'c', 220, 1]];
        const node = await ddsp.synthNode(context, { synth: 'subtractive', patch, events });
        node.connect(context.destination);
        const x = (await context.startRendering()).getChannelData(0), peak = (from, to) => x.subarray(from, to).reduce((m, y) => Math.max(m, Math.abs(y)), 0);
        return [x.every(Number.isFinite), peak(0, 4800), peak(5000, 24000), peak(38400, fs)]""", PRESETS["bass"], FS)
    assert got[0] and got[1] > 0.1 and got[2] == 0 and 0.1 < got[3] <= 1

def test_knobs_glide(sound):
    "Turned as far as they go while a note sounds: no step in the sound that the sound does not have anyway."
    patch = {**PRESETS["organ"]["values"], "pulse": 0, "triangle": 0, "sine": 0.8, "second": 0, "cutoff_hz": 12000, "f0_hz": 100, "attack_s": 0.01}
    for changes in ({"sine": 0}, {"cutoff_hz": 30}, {"resonance": 20}, {"second": 1}, {"noise": 0, "saw": 0}):
        x = np.array(sound.js(f"""const synth = new (ddsp.makeDSP().SubtractiveSynth)({{ values: arguments[0] }}, {FS}), out = new Float64Array(12800), block = new Float32Array(128);
            synth.noteOn('a', 100, 1);
            for (let i = 0; i < 100; i++) {{
              if (i === 50) for (const [name, value] of Object.entries(arguments[1])) synth.set(name, value);
              synth.process(block);
              out.set(block, 128 * i);
            }}
            return [...out]""", patch, changes))
        bends = np.abs(np.diff(x, 2))
        assert bends[6000:].max() < 4 * bends[2000:6000].max() + 1e-4, changes

def test_voices_are_never_more_than_the_processor_can_bear(sound):
    count, peak = sound.js("""const synth = new (ddsp.makeDSP().SubtractiveSynth)(arguments[0], 48000), out = new Float32Array(480);
        let peak = 0;
        for (let i = 0; i < 200; i++) {
          synth.noteOn(i, 100 + i, 1);
          synth.noteOff(i - 3);
          synth.process(out);
          peak = Math.max(peak, ...out.map(Math.abs));
        }
        return [synth.voices.length, peak]""", PRESETS["organ"])
    assert count <= 34 and 0.3 < peak <= 1

def test_how_many_voices_one_core_plays(sound, record_property):
    "Said, not judged: it depends on the machine and on who else uses it."
    voices = sound.js("""const { SubtractiveSynth } = ddsp.makeDSP(), out = new Float32Array(128);
        return arguments[0].map((patch) => {
          const synth = new SubtractiveSynth({ values: { ...patch.values, sustain: 1 } }, 48000);
          for (let i = 0; i < 24; i++) synth.noteOn(i, 220 + 3 * i, 0.5);
          let best = 0;
          for (let round = 0; round < 20; round++) {
            const start = performance.now(), blocks = 12;
            for (let i = 0; i < blocks; i++) synth.process(out);
            best = Math.max(best, 24 * blocks * 128 / 48 / (performance.now() - start));
          }
          return best;
        })""", list(PRESETS.values()))
    record_property("voices", min(voices))
    print("voices in real time:", ", ".join(f"{name} {count:.0f}" for name, count in zip(PRESETS, voices)))


# --- in the reader's hands -----------------------------------------------------------------------------------

def test_it_becomes_ready(page): assert page.js("return document.querySelectorAll('[failed]').length") == 0

def test_a_hostile_name_is_only_a_name(page):
    options = page.js(f"return [...{ROOT}.querySelectorAll('option')].map((o) => o.textContent)")
    assert options[-1] == HOSTILE
    open_patch(page, {**PRESETS["lead"], "name": HOSTILE})
    assert page.js(f"return {ROOT}.querySelector('.bar b').textContent") == HOSTILE[:120]
    assert page.js(f"return [{ROOT}.querySelectorAll('img, script').length, document.title]") == [0, "Widgets"]
    assert "<" not in page.js("return document.getElementById('sub').fileName()")
    open_patch(page, {**PRESETS["lead"], "name": {"not": "text"}})
    assert said(page) == "Opened." and page.js(f"return {ROOT}.querySelector('.bar b').textContent") == ""

def test_typed_notes_sound_and_end(page):
    from selenium.webdriver import ActionChains
    open_patch(page, PRESETS["organ"])
    page.focus("sub", ".piano")
    ActionChains(page.driver, duration=0).key_down("a").key_down("d").key_down("g").perform()
    page.wait("document.getElementById('sub').held.size === 3 && document.getElementById('sub').engine.kind === 'worklet'")
    assert 0.05 < page.peak(0.3) <= 1
    ActionChains(page.driver, duration=0).key_up("a").key_up("d").key_up("g").perform()
    page.wait("document.getElementById('sub').held.size === 0")
    time.sleep(0.4)
    assert page.level() < 1e-3  # let go: the release ended it

def test_presets_are_chosen_and_given_back_unchanged(page):
    for i, (name, patch) in enumerate(PRESETS.items()):
        page.js(f"const select = {ROOT}.querySelector('select'); select.value = {i}; select.onchange({{ target: select }})")
        assert said(page) == "Opened."
        assert json.loads(page.js("return document.getElementById('sub').patchText()")) == patch, name
        assert page.js(f"return [...{ROOT}.querySelectorAll('.segments input')].findIndex((r) => r.checked)") == patch["values"]["filter"]

def test_the_filter_is_chosen_with_the_keyboard(page):
    from selenium.webdriver import Keys
    open_patch(page, PRESETS["organ"])
    page.focus("sub", ".segments input")
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert values(page)["filter"] == 2
    assert page.js(f"return {ROOT}.querySelector('.response svg').getAttribute('aria-label')").startswith("Response of the band-pass filter at ")
    page.keys(Keys.ARROW_LEFT)
    assert values(page)["filter"] == 1
    page.click("sub", ".footer .word", 1)  # Reset
    assert values(page) == PRESETS["organ"]["values"]

def test_the_filter_is_dragged_in_its_picture(page):
    from selenium.webdriver import ActionChains
    open_patch(page, PRESETS["lead"])
    picture = page.js(f"const box = {ROOT}.querySelector('.response'); box.scrollIntoView({{ block: 'center' }}); return box")
    where = ActionChains(page.driver, duration=0).move_to_element_with_offset(picture, 0, 0)
    where.click_and_hold().move_by_offset(60, -30).release().perform()
    box = page.js("const { width, height } = arguments[0].getBoundingClientRect(); return [width, height]", picture)
    v = values(page)
    lift = (v["f0_hz"] / 261.6256) ** v["key_tracking"]  # the picture shows the cutoff for the last key
    assert v["cutoff_hz"] * lift == pytest.approx(20 * 1000 ** (0.5 + 60 / box[0]), rel=0.05)
    assert v["resonance"] == pytest.approx(0.5 * 40 ** (0.5 + 30 / box[1]), rel=0.1)
    assert page.js(f"return +{ROOT}.querySelector('[data-name=cutoff_hz]').value") == pytest.approx(np.log(v["cutoff_hz"] / 30) / np.log(400), abs=0.01)
    page.js("document.getElementById('sub').reset()")
    assert values(page) == PRESETS["lead"]["values"]

def test_an_edited_patch_plays_the_same_in_python(page, tmp_path):
    open_patch(page, PRESETS["brass"])
    page.js(f"""const set = (label, value) => {{
          const input = {ROOT}.querySelector(`[aria-label="${{label}}"]`);
          input.value = value;
          if (input.type === 'range') input.oninput(); else input.onchange();
        }};
        set('Cutoff, exactly', '1234,5 Hz'); set('Noise', 0.25); set('Attack of the filter', 0.5); set('Attack', 0.25); set('Sweep', 0.25);
        {ROOT}.querySelectorAll('.segments input')[3].click()""")
    v = values(page)
    assert (v["cutoff_hz"], v["noise"], v["sweep_octaves"], v["filter"]) == (1234.5, 0.25, -3, 3)
    assert (v["filter_attack_s"], v["attack_s"]) == (pytest.approx(0.1), pytest.approx(0.01))
    text, sound = page.js(f"""const e = document.getElementById('sub'), text = e.patchText();
        return [text, [...ddsp.makeDSP().renderSubtractive(JSON.parse(text), {FS}, 4000)]]""")
    (tmp_path / "edited.json").write_text(text, encoding="utf-8")
    patch = PANEL.load(tmp_path / "edited.json")
    assert json.loads(text)["name"].endswith("(edited)")
    assert np.abs(SubtractiveSynth(FS)(patch, 4000)[0].numpy() - sound).max() < 1e-4

def test_knobs_are_heard_while_the_note_sounds(page):
    open_patch(page, PRESETS["organ"])
    page.js("document.getElementById('sub').noteOn('x', 60, 1)")
    page.wait("document.getElementById('sub').engine.kind === 'worklet'")
    time.sleep(0.3)
    before = page.peak(0.2)
    page.js("const e = document.getElementById('sub'); e.turn('filter', 3); e.turn('cutoff_hz', 12000)")
    time.sleep(0.3)
    assert before > 0.05 and page.peak(0.2) < 0.3 * before
    page.js("document.getElementById('sub').noteOff('x'); document.getElementById('sub').reset()")

def test_a_note_can_be_taken_home_as_wav(page):
    open_patch(page, PRESETS["strings"])
    audio, rate = taken_home(page, "sub")
    assert rate == FS and len(audio) > 1.5 * FS and 0.05 < np.abs(audio).max() <= 1
    assert np.abs(audio[-100:]).max() == 0  # the tail is long enough for the release

def test_patches_are_checked_before_they_sound(page):
    def opened(**changed):
        patch = copy.deepcopy(PRESETS["bass"])
        patch["values"] = {key: value for key, value in {**patch["values"], **changed}.items() if value is not None}
        open_patch(page, patch)
        return said(page)
    before = page.js("return document.getElementById('sub').patchText()")
    assert opened(filter=4) == "Not opened. filter: expected a number from 0 to 3, found 4."
    assert opened(filter=1.5) == "Not opened. filter: expected a whole number, found 1.5."
    assert opened(cutoff_hz=0) == "Not opened. cutoff_hz: expected a number from 30 to 12000, found 0."
    assert opened(resonance="2") == 'Not opened. resonance: expected a number from 0.5 to 20, found "2".'
    assert opened(width=[0.5]) == "Not opened. width: expected a number from 0.05 to 0.95, found [0.5]."
    assert opened(wobble=1) == "Not opened. wobble: this synth has no such knob."
    assert opened(saw=None).startswith("Not opened. saw: expected a number")
    assert opened(constructor=1) == "Not opened. constructor: this synth has no such knob."
    bass = json.dumps(PRESETS["bass"])
    for text, why in ((bass[:200], "This file is not JSON."), ("null", 'This is not a patch of this book (format: expected "ddsp_book.patch").'),
                      (bass.replace('"subtractive"', '"fm6"'), 'synth: this panel plays "subtractive", the patch is for "fm6".'),
                      (bass.replace('"version": 1', '"version": 2'), "version: expected 1, found 2."),
                      (bass.replace('"cutoff_hz": 230', '"cutoff_hz": NaN'), "This file is not JSON."),
                      (bass.replace('"cutoff_hz": 230', '"cutoff_hz": 1e999'), "cutoff_hz: expected a number from 30 to 12000, found null.")):
        open_patch(page, text)
        assert said(page) == f"Not opened. {why}"
    assert page.js("return document.getElementById('sub').patchText()") == before  # what was there is still there
    assert opened() == "Opened."

def test_pictures_can_show_every_position(page):
    "Knobs at their ends: no path holds anything but numbers."
    draw = torch.Generator().manual_seed(2)
    table = PANEL.from_unit(torch.rand(12, PANEL.size, generator=draw, dtype=torch.float64).round())
    for i in range(12):
        open_patch(page, packed({**{name: float(value[i]) for name, value in table.items()}, "filter": i % 4}, "Ends"))
        assert said(page) == "Opened."
        paths = page.js(f"return [...{ROOT}.querySelectorAll('.face path')].map((p) => p.getAttribute('d')).join('')")
        assert len(paths) > 5000 and "NaN" not in paths and "Inf" not in paths
    open_patch(page, PRESETS["organ"])

def test_every_control_has_a_name_of_its_own(page):
    names = page.js(f"return [...{ROOT}.querySelectorAll('input:not([hidden]), button, select, [role]')].filter((e) => e.type !== 'radio').map((e) => e.ariaLabel || e.textContent)")
    names = [name for name in names if name]
    assert len(names) == len(set(names)) and len(names) > 30
    assert page.js(f"return [...{ROOT}.querySelectorAll('.segments label')].map((l) => l.textContent)") == list(FILTERS)

@pytest.mark.parametrize("width", [380, 600, 1300])
def test_nothing_is_cut_off(browser, site, width):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500})
    try:
        page = visit(browser, site["file"], FS)
        over = page.js(f"""return [...{ROOT}.querySelectorAll('*')].filter((e) => {{
            const box = e.getBoundingClientRect();
            return box.width && (box.right > innerWidth || box.left < 0) || e.matches('.knob *') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth;
          }}).map((e) => e.className.baseVal || e.className || e.tagName)""")
        assert over == [] and page.js("return document.documentElement.scrollWidth") <= width
    finally: browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
