"Choosing in a real browser: its model beside Python's, its sounds beside PyTorch's, and the way through the page by mouse and by key."
import json
import numpy as np
import pytest
import torch
from ddsp_book.fm6 import FM6Op
from ddsp_book.preference import Taste, piano_macros, prefer, spread_out
from widget_page import NEEDS_BROWSER, PACKED, browser, served, unpacked, visit, watched

pytestmark = NEEDS_BROWSER
FS, SOUNDS = 48000, 300
PLACES = (spread_out(0, SOUNDS, 3) * torch.tensor([6.0, 3.0, 4.0])).round(decimals=3)
HOSTILE = '</script><img src=x onerror="window.hacked = 1">'
E = "document.getElementById('duel')"

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    page = prefer(piano_macros(FM6Op(FS).panel), PLACES, HOSTILE, HOSTILE, seconds=0.3)
    body = '<meta name="viewport" content="width=device-width">' + page.html.replace("<ddsp-prefer ", '<ddsp-prefer id="duel" ')
    with served(tmp_path_factory.mktemp("prefer"), body) as addresses: yield addresses

@pytest.fixture(scope="module")
def page(browser, site):
    with watched(browser, site["http"], FS) as page: yield page

def status(page): return page.js(f"return {E}.shadowRoot.querySelector('.status').textContent")
def choices(page): return page.js(f"return {E}.taste.choices")
def start(page): page.js(f"{E}.taste.forget(); {E}.turn('')")
def listen(page): page.js(f"{E}.hear(0); {E}.hear(1)")


def answers(seed, n):
    "A listener of moderate patience."
    taste, random = Taste(PLACES), np.random.default_rng(seed)
    for _ in range(n):
        i, j = taste.propose()
        nearer = taste.apart[i, 77 + seed] < taste.apart[j, 77 + seed]
        taste.choose(i, j, random.choice([float(nearer), float(nearer), 0.5, float(not nearer)]))
    return taste

@pytest.mark.parametrize("seed, n", [(0, 0), (1, 1), (2, 12), (3, 40)])
def test_the_browser_thinks_as_python_does(page, seed, n):
    taste = answers(seed, n)
    pairs = torch.randint(SOUNDS, (2, 50), generator=torch.Generator().manual_seed(seed))
    got = page.js("""const [places, choices, pairs] = arguments, taste = new ddsp.Taste(places);
        taste.set(choices);
        const pair = taste.propose();
        return { belief: taste.belief().map((row) => [...row]), coin: taste.coin(), best: taste.best(), words: taste.words(),
                 information: taste.information(pairs), pair, told: taste.information([pair])[0] }""", PLACES.tolist(), taste.choices, pairs.T.tolist())
    np.testing.assert_allclose(got["belief"], taste.belief().numpy(), rtol=1e-8, atol=1e-30)
    assert got["coin"] == pytest.approx(taste.coin(), rel=1e-8) and got["best"] == taste.best() and got["words"] == taste.words()
    np.testing.assert_allclose(got["information"], taste.information(*pairs).numpy(), atol=1e-6)
    assert got["told"] == pytest.approx(taste.information(*torch.tensor(taste.propose())[:, None]).item(), abs=1e-6)
    assert tuple(got["pair"]) == taste.propose()

def test_it_goes_on_as_python_would(page):
    "Ten answers in a row, each to the pair that the browser proposes."
    got = page.js("""const taste = new ddsp.Taste(arguments[0]);
        for (let n = 0; n < 10; n++) taste.choose(...taste.propose(), (n % 3) / 2);
        return taste.choices""", PLACES.tolist())
    taste = Taste(PLACES)
    for n in range(10): taste.choose(*taste.propose(), n % 3 / 2)
    assert [tuple(choice) for choice in got] == taste.choices

def test_the_points_and_the_sounds_are_those_of_python(page):
    numbers = [0, 17, 141, 299]
    np.testing.assert_allclose(page.js("return ddsp.spreadOut(300, 3)"), spread_out(0, 300, 3).numpy(), atol=1e-12)
    got = unpacked(page.js(PACKED + f"return arguments[0].map((k) => packed(Float64Array.from({E}.render(k))))", numbers), float)
    synth = FM6Op(FS)
    expected = synth(piano_macros(synth.panel)(spread_out(0, 300, 3)[numbers]), got.shape[1])
    assert np.abs(got - expected.numpy()).max() < 1e-3 and np.abs(got).max() > 0.1

def test_one_hears_both_and_then_chooses(page):
    start(page)
    assert page.js(f"return [...{E}.shadowRoot.querySelectorAll('.pick')].every((b) => b.disabled)")
    page.click("duel", ".pick")
    assert choices(page) == [] and "Hear both" in status(page)
    page.click("duel", ".play", 0)
    assert 0.05 < page.peak(0.3) <= 1
    page.click("duel", ".play", 1)
    pair = page.js(f"return {E}.pair")
    page.click("duel", ".pick", 1)
    assert choices(page) == [[*pair, 0]] and status(page) == "1 choice so far."
    page.wait(f"{E}.heard[0] && {E}.heard[1]")  # the next two play by themselves
    assert page.js(f"return {E}.pair") != pair

def test_it_can_be_done_by_keys_and_taken_back(page):
    from selenium.webdriver import Keys
    start(page)
    page.focus("duel", ".prefer")
    for key, chosen in ((Keys.ARROW_LEFT, 1), (Keys.ARROW_DOWN, 0.5), (Keys.ARROW_RIGHT, 0)):
        page.keys("a", "b", key)
        assert choices(page)[-1][2] == chosen
    page.js(f"{E}.back[0].click()")
    assert [c for *_, c in choices(page)] == [1, 0.5]

def test_the_favourite_waits_for_five_choices_and_is_a_patch(page):
    start(page)
    for n in range(5):
        assert page.js(f"return {E}.favourite[0].disabled")
        listen(page)
        page.js(f"{E}.answer({n % 2})")
    assert not page.js(f"return {E}.favourite[0].disabled")
    patch = page.js(f"return ddsp.readPatch(JSON.stringify({E}.patch({E}.taste.best())), 'fm6')")
    panel = FM6Op().panel
    panel.unpack({**patch, "name": "x"})
    spans = page.js(f"return [...{E}.shadowRoot.querySelectorAll('.strip')].map((s) => s.getAttribute('aria-label'))")
    assert len(spans) == 3 and all("favourite at" in label for label in spans)

def test_it_is_taken_up_where_it_was_left(browser, site):
    page = visit(browser, site["http"], FS)
    start(page)
    for _ in range(3):
        listen(page)
        page.js(f"{E}.answer(1)")
    before, pair = choices(page), page.js(f"return {E}.pair")
    page = visit(browser, site["http"], FS)
    assert choices(page) == before and page.js(f"return {E}.pair") == pair and "where you left" in status(page)

def test_files_of_choices_go_between_page_and_python(page, tmp_path):
    start(page)
    taste = answers(5, 9)
    taste.save(tmp_path / "choices.json")
    page.js(f"{E}.open(arguments[0])", (tmp_path / "choices.json").read_text())
    assert status(page).startswith("Opened") and [tuple(c) for c in choices(page)] == taste.choices
    (tmp_path / "back.json").write_text(page.js(f"return {E}.choicesText()"))
    other = Taste(PLACES)
    other.load(tmp_path / "back.json")
    assert torch.equal(other.belief(), taste.belief())
    whole = page.js(f"return {E}.choicesText()")
    for text in (whole[:30], "[1]", whole.replace("300", "301"), whole.replace("choices\":[[", "choices\":[[999,"), "null"):
        page.js(f"{E}.open(arguments[0])", text)
        assert status(page).startswith("Not opened") and [tuple(c) for c in choices(page)] == taste.choices

def test_a_hostile_question_stays_a_question(page):
    assert page.js("return window.hacked") is None
    assert HOSTILE in page.js(f"return {E}.shadowRoot.querySelector('.bar b').textContent")
