"The map of sounds in a real browser: what it plays, how one walks on it, and that a hostile name stays a name."
import json, time
import numpy as np
import pytest
import torch
from ddsp_book.fm6 import FM6Op
from ddsp_book.morphing import patch_map
from ddsp_book.subtractive import SubtractiveSynth
from widget_page import NEEDS_BROWSER, PACKED, STATIC, browser, served, unpacked, visit, watched

pytestmark = NEEDS_BROWSER
FS = 48000
ATLAS = json.loads((STATIC.parent / "data" / "results" / "map_fm6.json").read_text("utf-8"))
HOSTILE = '</script><img src=x onerror="window.hacked = 1">'
E = "document.getElementById('{}')"


def few(synth, **kwargs):
    panel = synth.panel
    vectors = panel.to_unit(panel.random(5, torch.Generator().manual_seed(1))) * 10000
    places = [[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 1.0]]
    return patch_map(panel.synth, vectors.round(), places, **kwargs)

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    atlas = patch_map("fm6", ATLAS["vectors"], ATLAS["places"], ATLAS["names"], ATLAS["groups"], ATLAS["group_names"], caption="All")
    five = few(FM6Op(FS), names=[HOSTILE, "<b>two</b>", "three", "no. 4", "no. 5"], groups=[0, 0, 0, 1, 1], group_names=[HOSTILE, "b"], caption=HOSTILE)
    tags = [page.html.replace("<ddsp-map ", f'<ddsp-map id="{id}" ') for page, id in ((atlas, "all"), (five, "five"), (few(SubtractiveSynth(FS)), "other"))]
    with served(tmp_path_factory.mktemp("map"), '<meta name="viewport" content="width=device-width">' + "".join(tags)) as addresses: yield addresses

@pytest.fixture(params=["http", "file"], scope="module")
def page(request, browser, site):
    with watched(browser, site[request.param], FS) as page: yield page

def at(page, id="all"): return page.js(f"return document.getElementById('{id}').at")
def status(page, id="all"): return page.js(f"return document.getElementById('{id}').shadowRoot.querySelector('.status').textContent")

def put(page, i, id="all", away=(0, 0), kind="mouse"):
    "Click, or tap, `away` from point `i`."
    x, y = page.js(f"""const e = document.getElementById('{id}'), plane = e.shadowRoot.querySelector('.plane');
        plane.scrollIntoView({{ block: 'center' }});
        const box = e.sheet.getBoundingClientRect();
        return [box.left + e.spots[{i}][0], box.top + e.spots[{i}][1]]""")
    x, y = x + away[0], y + away[1]
    if kind == "touch":
        touch = lambda type, points: page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": type, "touchPoints": points})
        touch("touchStart", [{"x": x, "y": y}])
        return touch("touchEnd", [])
    for type in ("mousePressed", "mouseReleased"):
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": type, "x": x, "y": y, "button": "left", "clickCount": 1})


def test_the_map_is_light_and_whole():
    assert len(patch_map("fm6", ATLAS["vectors"], ATLAS["places"]).html) < 200_000
    assert 200 <= len(ATLAS["vectors"]) <= 320 and ATLAS["drawn"] + 10 - sum(ATLAS["refused"].values()) == len(ATLAS["names"])

def test_a_click_plays(page):
    put(page, 17)
    assert at(page) == 17 and status(page) == f"{ATLAS['names'][17]} · {ATLAS['group_names'][ATLAS['groups'][17]]} · 18 of {len(ATLAS['names'])}"
    assert 0.05 < page.peak(0.5) <= 1
    time.sleep(1)
    assert page.level() < 1e-3  # and it ends

def test_a_click_elsewhere_takes_the_nearest_and_far_away_nothing(page):
    put(page, 2, "five", away=(25, -10))
    assert at(page, "five") == 2
    put(page, 2, "five", away=(120, 10))
    assert at(page, "five") == 2
    put(page, 0, "five", away=(3, 4))
    assert at(page, "five") == 0

def test_only_one_thing_sounds(page):
    put(page, 3)
    put(page, 1, "five")
    assert page.js("return document.getElementById('all').run === null && document.getElementById('five').run !== null")

def test_arrows_walk_and_play(page):
    from selenium.webdriver import Keys
    put(page, 2, "five")
    page.focus("five", ".plane")
    corners = {Keys.ARROW_UP: {0, 1}, Keys.ARROW_LEFT: {0, 3}, Keys.ARROW_RIGHT: {1, 4}, Keys.ARROW_DOWN: {3, 4}}
    for key, expected in corners.items():
        page.js("document.getElementById('five').choose(2, false)")
        page.keys(key)
        now = at(page, "five")
        wide = page.js("const e = document.getElementById('five'); return e.plane.clientWidth > 1.05 * e.plane.clientHeight")
        assert now in (expected if not (wide and key in (Keys.ARROW_UP, Keys.ARROW_DOWN)) else {2}), key
    page.js("document.getElementById('five').choose(0, false)")
    page.keys(Keys.ARROW_RIGHT)
    assert at(page, "five") == 2 and page.js("return document.getElementById('five').run !== null")
    page.keys(Keys.PAGE_DOWN)
    assert at(page, "five") == 3
    said = page.js("const p = document.getElementById('five').plane, o = p.querySelector('#' + p.getAttribute('aria-activedescendant')); return [o.getAttribute('aria-selected'), o.getAttribute('role'), o.getAttribute('aria-label')]")
    assert said == ["true", "option", "no. 4 · b · 4 of 5"]

def test_every_point_can_be_reached_by_arrows(page):
    reached = page.js("""const e = document.getElementById('all'), seen = new Set([0]), todo = [0];
        while (todo.length) { const i = todo.pop(); for (const d of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { const k = e.neighbour(i, d); if (!seen.has(k)) { seen.add(k); todo.push(k); } } }
        return seen.size""")
    assert reached >= 0.97 * len(ATLAS["names"])  # and the few others by PageDown

def test_one_group_alone(page):
    page.click("all", ".group", 2)
    shown = page.js("const e = document.getElementById('all'); return e.dots.map((d) => !d.classList.contains('dim'))")
    assert shown == [group == 2 for group in ATLAS["groups"]]
    page.click("all", ".group", 2)
    assert page.js("return document.getElementById('all').shadowRoot.querySelectorAll('.dim').length") == 0

@pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
def test_the_page_renders_what_python_does(page, record_property):
    which = [0, 3, 7, 40, 99, 160, 222, len(ATLAS["names"]) - 1]
    got = unpacked(page.js(PACKED + f"return {which}.map((i) => packed(document.getElementById('all').render(i)))"), float)
    synth = FM6Op(FS)
    vectors = torch.tensor(ATLAS["vectors"], dtype=torch.float64)[which] / 10000
    expected = synth(synth.panel.from_unit(vectors), FS).numpy()
    errors = np.abs(got - expected).max(1)
    record_property("max_error", errors.max())
    print(f"max error {errors.max():.1e}")
    assert np.abs(expected).max(1).min() > 0.05 and errors.max() < 1e-3

def test_what_is_saved_is_a_patch(page):
    data = page.js("return document.getElementById('all').patch(40)")
    panel = FM6Op(FS).panel
    patch = panel.unpack(data)
    vector = torch.tensor(ATLAS["vectors"][40]) / 10000
    for name, value in panel.from_unit(vector[None]).items(): assert torch.allclose(patch[name], value, rtol=1e-4, atol=1e-6), name
    page.js("ddsp.readPatch(JSON.stringify(arguments[0]), 'fm6')", data)

def test_a_hostile_name_stays_a_name(page):
    put(page, 0, "five")
    assert HOSTILE in status(page, "five")
    assert page.js("return window.hacked") is None
    assert page.js("return document.getElementById('five').shadowRoot.querySelectorAll('img, b').length") == 0

def test_another_synth_has_a_map_too(page):
    assert page.js("return document.getElementById('other').hasAttribute('failed')") is False
    assert max(abs(x) for x in page.js("return [...document.getElementById('other').render(1).slice(0, 4800)]")) > 0

def test_a_finger_plays_and_nothing_is_cut_off_on_a_phone(browser, site):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page = visit(browser, site["file"], FS)
        put(page, 2, "five", away=(20, 20), kind="touch")
        page.wait("document.getElementById('five').at === 2")
        assert page.peak(0.4) > 0.01
        over = page.js("""return [...document.getElementById('all').shadowRoot.querySelectorAll('*')].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width && (box.right > innerWidth || box.left < 0);
          }).map((e) => e.className.baseVal || e.className || e.tagName)""")
        assert over == [] and page.js("return document.documentElement.scrollWidth") == 390
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
