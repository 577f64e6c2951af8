"""What all synths of the page share, in a real browser: fingers, a MIDI keyboard, computer keys, eyes and ears that need
something else than most."""
import json, time
import pytest
from ddsp_book.page import instrument
from test_widgets_fm import FM2, PRESETS
from test_widgets import make_patch
from widget_page import NEEDS_BROWSER, browser, served, visit, watched

pytestmark = NEEDS_BROWSER
IDS = ("hybrid", "fm2", "fm6")
AT = {"hybrid": 16000, "fm2": 48000, "fm6": 48000}

# Two keyboards on the desk. Every request gets its own view of them, as in a browser.
MIDI = """
const views = [];
Object.defineProperty(navigator, 'requestMIDIAccess', { value: async () => {
  if (window.noMidi) throw new DOMException('no', 'NotAllowedError');
  const access = { inputs: new Map(['Keys', 'Pads'].map((name) => [name, { name, state: 'connected', onmidimessage: null }])) };
  views.push(access);
  return access;
} });
window.midi = (...data) => views.forEach((v) => v.inputs.forEach((input) => input.name === 'Keys' && input.onmidimessage && input.onmidimessage({ data: Uint8Array.from(data) })));
window.unplug = () => views.forEach((v) => {
  const port = v.inputs.get('Keys');
  if (!port) return;
  port.state = 'disconnected';
  v.inputs.delete('Keys');
  v.onstatechange({ port });
});"""

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    tags = "".join(instrument(p, "Play it").html for p in (make_patch(), FM2, list(PRESETS.values())[:2]))
    for id in IDS: tags = tags.replace(f"<ddsp-{id} ", f'<ddsp-{id} id="{id}" ')
    body = f'<meta name="viewport" content="width=device-width"><script>{MIDI}</script><style>body {{ margin: 10px }}</style>{tags}'
    with served(tmp_path_factory.mktemp("site"), body) as addresses: yield addresses

@pytest.fixture(scope="module")
def page(browser, site):
    with watched(browser, site["http"]) as page: yield page

@pytest.fixture(params=IDS)
def id(request, page):
    "One synth after the other, each left in silence."
    yield request.param
    page.js("for (const id of arguments[0]) { const e = document.getElementById(id); e.silence(); e.reset(); }", IDS)

def held(page, id): return sorted(page.js(f"return [...document.getElementById('{id}').held.values()]"))
def said(page, id): return page.js(f"return document.getElementById('{id}').shadowRoot.querySelector('.status').textContent")


# --- fingers ----------------------------------------------------------------------------------------

@pytest.fixture
def touch(page, browser):
    "touch('Start', synth, {finger: key or place, …}): what the screen reports. 'End' names those that go up, or none for all."
    do = browser.execute_cdp_cmd
    do("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    def at(id, midi):
        return page.js(f"""const key = document.getElementById('{id}').shadowRoot.querySelector('[data-midi="{midi}"]');
            const box = key.getBoundingClientRect();
            return {{ x: box.left + box.width / 2, y: box.bottom - 10 }}""")
    def touch(kind, id, fingers):
        points = [{**(at(id, key) if isinstance(key, int) else key), "id": finger} for finger, key in fingers.items()]
        do("Input.dispatchTouchEvent", {"type": "touch" + kind, "touchPoints": points})
    yield touch
    do("Emulation.setTouchEmulationEnabled", {"enabled": False})

def show(page, id): page.js(f"document.getElementById('{id}').shadowRoot.querySelector('.piano').scrollIntoView({{ block: 'center' }})")

def test_two_fingers_play_two_notes(page, touch, id):
    show(page, id)
    first = page.js(f"return document.getElementById('{id}').piano.low")
    touch("Start", id, {1: first, 2: first + 4})
    page.wait(f"document.getElementById('{id}').held.size === 2")
    assert held(page, id) == [first, first + 4]
    page.wait(f"document.getElementById('{id}').engine.kind === 'worklet'")
    page.rate = AT[id]
    assert 0.02 < page.peak(0.3) <= 1
    touch("End", id, {2: first + 4})
    page.wait(f"document.getElementById('{id}').held.size === 1")
    assert held(page, id) == [first]
    touch("End", id, {})
    page.wait(f"document.getElementById('{id}').held.size === 0")

def test_a_finger_slides_over_the_keys_and_off_them(page, touch, id):
    show(page, id)
    first = page.js(f"return document.getElementById('{id}').piano.low")
    touch("Start", id, {1: first, 2: first + 12})
    for midi in (first + 2, first + 4, first + 5):
        touch("Move", id, {1: midi, 2: first + 12})
        page.wait(f"[...document.getElementById('{id}').held.values()].includes({midi})")
        assert held(page, id) == [midi, first + 12]  # one note per finger, and the other stays
    touch("Move", id, {1: {"x": 5, "y": 5}, 2: first + 12})
    page.wait(f"document.getElementById('{id}').held.size === 1")
    touch("Move", id, {1: first + 7, 2: first + 12})
    page.wait(f"document.getElementById('{id}').held.size === 2")
    touch("End", id, {})
    page.wait(f"document.getElementById('{id}').held.size === 0")
    assert page.js(f"return document.getElementById('{id}').shadowRoot.querySelectorAll('.key.down').length") == 0

def test_a_touch_that_the_system_takes_away_ends_its_note(page, touch, id):
    show(page, id)
    first = page.js(f"return document.getElementById('{id}').piano.low")
    touch("Start", id, {1: first, 2: first + 4})
    page.wait(f"document.getElementById('{id}').held.size === 2")
    touch("Cancel", id, {})
    page.wait(f"document.getElementById('{id}').held.size === 0")


# --- a MIDI keyboard --------------------------------------------------------------------------------

def connect(page, id):
    page.js(f"[...document.getElementById('{id}').shadowRoot.querySelectorAll('.tools button')].find((b) => b.textContent === 'MIDI').click()")
    page.wait(f"document.getElementById('{id}').shadowRoot.querySelector('.status').textContent.includes('Listening to')")

def midi(page, *data): page.js("midi(...arguments)", *data)

def test_a_midi_keyboard_plays(page, id):
    connect(page, id)
    assert said(page, id) == "Listening to Keys, Pads"
    midi(page, 0x90, 60, 100)
    midi(page, 0x93, 64, 127)  # on any channel
    assert held(page, id) == [60, 64]
    page.rate = AT[id]
    page.wait(f"document.getElementById('{id}').engine.kind === 'worklet'")
    assert 0.02 < page.peak(0.3) <= 1
    midi(page, 0x90, 60, 80)  # struck again
    assert held(page, id) == [60, 64]
    midi(page, 0x80, 60, 64)
    assert held(page, id) == [64]
    midi(page, 0x90, 64, 0)  # a note-on without velocity is a note-off
    assert held(page, id) == []
    for message in ([0xF8], [0xFE], [0xC0, 5], [0xE0, 0, 64], [0xB0, 1, 90], [0x80, 99, 0], [0x90]): midi(page, *message)
    assert held(page, id) == []

@pytest.mark.parametrize("number", [120, 123])
def test_all_notes_off(page, id, number):
    connect(page, id)
    for note in (40, 52, 127, 0): midi(page, 0x90, note, 90)
    assert held(page, id) == [0, 40, 52, 127]
    midi(page, 0xB0, number, 0)
    assert held(page, id) == []

def test_the_pedal_holds_what_is_let_go(page, id):
    connect(page, id)
    midi(page, 0x90, 60, 90)
    midi(page, 0xB0, 64, 127)
    midi(page, 0x80, 60, 0)
    midi(page, 0x90, 64, 90)
    assert held(page, id) == [60, 64]
    midi(page, 0xB0, 64, 0)
    assert held(page, id) == [64]  # its key is still down
    midi(page, 0x90, 64, 0)
    assert held(page, id) == []

def test_the_keyboard_plays_the_synth_that_asked_last(page, id):
    other = IDS[IDS.index(id) - 1]
    connect(page, other)
    connect(page, id)
    midi(page, 0x90, 60, 90)
    assert (held(page, id), held(page, other)) == ([60], [])
    page.js("document.activeElement.blur()")  # a click elsewhere: MIDI keys tell when they go up
    assert held(page, id) == [60]
    midi(page, 0x80, 60, 0)
    assert held(page, id) == []

def test_a_keyboard_that_is_unplugged_leaves_silence(page, id):
    connect(page, id)
    midi(page, 0x90, 60, 90)
    page.js("unplug()")
    assert held(page, id) == []

def test_a_browser_may_refuse(page, id):
    page.js("window.noMidi = true")
    page.js(f"return document.getElementById('{id}').connectMidi()")
    page.js("window.noMidi = false")
    assert said(page, id) == "The browser did not allow MIDI."


# --- letting go -------------------------------------------------------------------------------------

AWAY = {
    "another window": "window.dispatchEvent(new Event('blur'))",
    "another tab": """Object.defineProperty(document, 'hidden', { value: true, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
        delete document.hidden""",
    "another element": "document.activeElement.blur()",
    "the Command key": "e.shadowRoot.querySelector('.piano').dispatchEvent(new KeyboardEvent('keydown', { key: 'Meta', code: 'MetaLeft', metaKey: true, bubbles: true }))",
}

@pytest.mark.parametrize("away", AWAY)
def test_who_leaves_leaves_silence(page, id, away):
    from selenium.webdriver import ActionChains
    page.focus(id, ".piano")
    keys = ActionChains(page.driver, duration=0)
    keys.key_down("a").key_down("g").perform()
    page.wait(f"document.getElementById('{id}').held.size === 2")
    page.js(f"const e = document.getElementById('{id}'); {AWAY[away]}")
    assert held(page, id) == []
    keys.reset_actions()
    ActionChains(page.driver, duration=0).key_up("a").key_up("g").perform()

def test_a_synth_that_is_taken_out_and_put_back_plays_again(page, id):
    page.js(f"const e = document.getElementById('{id}'); e.noteOn('x', 60, 1); const next = e.nextSibling; e.remove(); document.body.insertBefore(e, next)")
    assert held(page, id) == [] and page.js(f"return document.getElementById('{id}').engine") is None
    page.js(f"document.getElementById('{id}').noteOn('x', 60, 1)")
    page.rate = AT[id]
    assert 0.02 < page.peak(0.4) <= 1


# --- without a mouse, without eyes ------------------------------------------------------------------

WHERE = """const e = document.activeElement?.shadowRoot?.activeElement;
    if (!e) return null;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    return { id: document.activeElement.id, what: e.getAttribute('aria-label') || e.textContent, outline: style.outlineStyle === 'solid' ? parseFloat(style.outlineWidth) : 0,
      inside: box.top >= 0 && box.left >= 0 && box.right <= innerWidth, size: [box.width, box.height] }"""

def walk(page, id):
    "What the Tab key comes to, in order."
    from selenium.webdriver import Keys
    page.js(f"const a = document.createElement('a'); a.href = '#'; document.getElementById('{id}').before(a); a.focus(); setTimeout(() => a.remove(), 50)")
    stops = []
    for _ in range(80):
        page.keys(Keys.TAB)
        stop = page.js(WHERE)
        if stop is None or stop["id"] != id: break
        stops.append(stop)
    return stops

def test_all_controls_are_reached_with_the_tab_key_and_show_it(page, id):
    stops = walk(page, id)
    assert all(s["outline"] >= 2 and s["inside"] and s["what"].strip() for s in stops)
    assert min(min(s["size"]) for s in stops) >= 19
    names = [s["what"] for s in stops]
    for name in ("Octave down", "Octave up", "Reset", "Open patch", "Save patch", "Save note as WAV", "MIDI", "Volume"): assert name in names
    assert any(name.startswith("Piano") for name in names)
    # And nothing that a mouse can turn is missed: all of it is a stop, or belongs to a group that arrow keys walk through.
    missed = page.js(f"""const reached = new Set(arguments[0]);
        return [...document.getElementById('{id}').shadowRoot.querySelectorAll('button, input, select, [role=slider]')]
          .filter((e) => e.checkVisibility() && e.tabIndex >= 0 && !reached.has(e.getAttribute('aria-label') || e.textContent))
          .map((e) => e.outerHTML.slice(0, 100))""", names)
    assert missed == []

def test_every_control_has_a_name(page, browser):
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
    kinds = ("button", "slider", "textbox", "combobox", "radio", "radiogroup", "application", "image", "group")
    assert [kind for kind, name in nodes if kind in kinds and not name.strip()] == []
    assert sum(kind == "slider" for kind, _ in nodes) > 20
    assert [kind for kind, _ in nodes].count("status") == len(IDS)  # one voice per panel, not one per knob

def test_letters_belong_to_a_number_while_it_is_typed(page):
    from selenium.webdriver import ActionChains, Keys
    page.js("document.getElementById('fm2').shadowRoot.querySelector('.exact').select?.()")
    page.focus("fm2", ".exact")
    ActionChains(page.driver, duration=0).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys("500 Hz").perform()
    low = "return document.getElementById('fm2').piano.low"
    before = page.js(low)
    assert held(page, "fm2") == [] and page.js("return document.getElementById('fm2').shadowRoot.querySelector('.exact').value") == "500 Hz"
    page.keys(Keys.ENTER)
    assert page.js("return document.getElementById('fm2').values.f_car") == 500 and page.js(low) == before
    ActionChains(page.driver, duration=0).key_down("a").perform()  # and then they play
    page.wait("document.getElementById('fm2').held.size === 1")
    ActionChains(page.driver, duration=0).key_up("a").perform()
    page.wait("document.getElementById('fm2').held.size === 0")
    page.js("document.getElementById('fm2').reset()")


# --- other eyes, other screens ----------------------------------------------------------------------

@pytest.fixture
def screen(browser):
    do = browser.execute_cdp_cmd
    yield do
    do("Emulation.setEmulatedMedia", {"features": []})
    do("Emulation.clearDeviceMetricsOverride", {})

def test_pictures_stand_nearly_still_where_that_is_wanted(page, screen, id):
    def drawn(motion):
        screen("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": motion}]})
        page.js(f"""const e = document.getElementById('{id}');
            window.drawn = 0;
            e.drawSound = function (...a) {{ drawn++; Object.getPrototypeOf(e).drawSound.apply(e, a); }};
            e.noteOn('x', 60, 1)""")
        time.sleep(1.2)
        count = page.js(f"const e = document.getElementById('{id}'); e.noteOff('x'); delete e.drawSound; return window.drawn")
        page.wait(f"!document.getElementById('{id}').running")
        return count
    assert drawn("no-preference") > 6
    assert 1 <= drawn("reduce") <= 4

@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_cut_off(page, screen, width):
    screen("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    for choosing in (False, True):
        page.js("document.getElementById('fm6').choose(arguments[0])", choosing)
        over = page.js("""return arguments[0].flatMap((id) => [...document.getElementById(id).shadowRoot.querySelectorAll('*')].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width && (box.right > arguments[1] + 0.5 || box.left < -0.5) || e.matches('button, b, .tuning, output') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth;
          }).map((e) => e.className.baseVal || e.className || e.tagName))""", IDS, width)
        assert over == [] and page.js("return document.documentElement.scrollWidth") == width
    page.js("document.getElementById('fm6').choose(false)")
