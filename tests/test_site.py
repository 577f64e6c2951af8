"""The built pages, as a reader's browser sees them: complete, self-contained, legible, playable."""
import json, re, time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from conftest import ROOT
from glue import is_public, run_links, settings
from glue_maths import mathml
from glue_notebooks import closure, code_cells, dependencies, directives, rewrite, text

PAGE_BYTES = 1_500_000   # what one page fetches for itself: text, figures, sounds, the widgets' script
THEME_BYTES = 500_000    # what all pages share: fonts, style, script
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))

# What a page is like, told by the page itself.
EXAMINE = """
const done = arguments[0], all = (s) => [...document.querySelectorAll(s)];
const players = all("*").filter((e) => e.localName.startsWith("ddsp-"));
const until = performance.now() + 5000;
(async () => {
  for (const p of players) { p.scrollIntoView(); while (!p.hasAttribute("ready") && performance.now() < until) await new Promise((r) => setTimeout(r, 20)); }
  const context = new OfflineAudioContext(1, 1, 44100), silent = [];
  for (const a of all("ddsp-player audio, ddsp-ab audio, ddsp-scrubber audio")) try {
    const bytes = Uint8Array.from(atob(a.getAttribute("src").split(",")[1]), (c) => c.charCodeAt(0));
    const sound = await context.decodeAudioData(bytes.buffer);
    if (!(sound.duration > 0.005)) silent.push(a.dataset.name);
  } catch (e) { silent.push(a.dataset.name + ": " + e); }
  scrollTo(0, 0);
  done({
    title: document.title, heading: document.querySelector("h1")?.innerText ?? "",
    unready: players.filter((p) => !p.hasAttribute("ready")).map((p) => p.outerHTML.slice(0, 120)),
    uncaptioned: players.filter((p) => p.localName !== "ddsp-answer" && !p.getAttribute("caption")?.trim()).map((p) => p.outerHTML.slice(0, 120)),
    players: players.length, silent,
    unnamed: [...all("img").filter((i) => !i.alt && !i.closest("a")?.innerText.trim()), ...all("svg[role=img]").filter((s) => !s.getAttribute("aria-label")?.trim()),
              ...all("figure.ddsp-figure").filter((f) => !f.querySelector("svg[role=img], img"))].map((e) => e.outerHTML.slice(0, 120)),
    broken: [...all("img").filter((i) => i.complete && !i.naturalWidth).map((i) => i.src),
             ...all(".cell_output .traceback, .cell_output .stderr, .system-message, .problematic, merror").map((e) => e.innerText.slice(0, 200)),
             ...all(".cell_output").filter((e) => e.innerText.includes("Traceback (most recent call last)")).map((e) => e.innerText.slice(0, 200))],
  });
})();
"""

# Text whose colour is too near to its ground (WCAG AA), and outputs on a ground that is not the theme's. Symbols in formulas and words in pictures keep their own colours.
FAINT = """
const ink = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (c) => { ink.clearRect(0, 0, 1, 1); ink.fillStyle = c; ink.fillRect(0, 0, 1, 1); const d = ink.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const ground = (e) => { const layers = []; for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3]) layers.push(c); if (c[3] === 1) break; }
  return layers.reverse().reduce((below, c) => over(c, below), [255, 255, 255]); };
const found = new Map();
for (const e of document.body.querySelectorAll("*")) {
  if (e.closest("math, svg, script, style, template, [hidden], .headerlink, .skip, .copy") || e.localName.startsWith("ddsp-") || e.closest("ddsp-hybrid, ddsp-scrubber, ddsp-ab, ddsp-player")) continue;
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility({ opacityProperty: true })) continue;
  const style = getComputedStyle(e), below = ground(e), size = parseFloat(style.fontSize);
  const [a, b] = [light(over(rgba(style.color), below)), light(below)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  if (ratio < (size >= 24 || size >= 18.6 && style.fontWeight >= 600 ? 3 : 4.5)) found.set(e.localName + "." + e.className, ratio.toFixed(2) + " " + e.innerText.slice(0, 30));
}
const dark = document.documentElement.dataset.theme === "dark";
for (const e of document.querySelectorAll("ddsp-player, ddsp-ab, ddsp-scrubber, ddsp-hybrid, ddsp-answer, .ddsp-figure, .cell_output, pre"))
  if (light(ground(e)) < 0.3 !== dark) found.set(e.localName, "stands on the other theme's ground");
return [...found].map((f) => f.join(": "));
"""


def settle(browser): browser.execute_script("return document.fonts.ready.then(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))))")
def window(browser, width): browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})


def visit(browser, url):
    "Open a page afresh and return what it is like, what it asked for, and what it complained about."
    browser.get("about:blank")
    browser.get_log("performance"), browser.get_log("browser")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    window(browser, 1300)
    browser.get(url)
    settle(browser)
    seen = browser.execute_async_script(EXAMINE)
    seen["wide"] = {}
    for width in (380, 1300):
        window(browser, width)
        settle(browser)
        seen["wide"][width] = browser.execute_script("return document.documentElement.scrollWidth") - width
    seen["faint"] = {}
    for theme in ("light", "dark"):
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        settle(browser)
        seen["faint"][theme] = browser.execute_script(FAINT)
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    seen["asked"] = [u for u in asked if not u.startswith(("data:", "blob:", "about:"))]
    fetched = {e["params"]["requestId"]: e["params"]["response"]["url"] for e in events if e["method"] == "Network.responseReceived"}
    sizes = [(fetched.get(e["params"]["requestId"], "data:"), e["params"]["encodedDataLength"]) for e in events if e["method"] == "Network.loadingFinished"]
    sizes = [(u, n) for u, n in sizes if not u.startswith(("data:", "blob:"))]
    seen["theme bytes"] = sum(n for u, n in sizes if re.search(r"_static/(fonts/|book\.)", u))
    seen["bytes"] = sum(n for _, n in sizes) - seen["theme bytes"]
    seen["console"] = [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
    return seen


@pytest.fixture(scope="module")
def names(site):
    "Every page, relative to the site."
    return sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html") if "_static" not in p.parts and p != site / "index.html")


@pytest.fixture(scope="module")
def pages(names, address, browser): return {name: visit(browser, f"{address}/{name}") for name in names}


@pytest.fixture(scope="module")
def from_disk(site, browser):
    "The same pages, opened by double-click."
    return {name: visit(browser, (site / name).as_uri()) for name in ["nbs/index.html", *(f"nbs/{p.stem}.html" for p in NOTEBOOKS if p.stem[0].isdigit()), "search.html"]}


@pytest.fixture(scope="module")
def soups(site, names): return {name: BeautifulSoup((site / name).read_text("utf-8"), "html.parser") for name in names}


def none_of(facts): assert not {name: fact for name, fact in facts.items() if fact}


def test_every_chapter_has_a_page(names): assert {f"nbs/{p.stem}.html" for p in NOTEBOOKS} <= set(names)
def test_pages_have_titles(pages): assert all(seen["title"] and seen["heading"] for seen in pages.values())


@pytest.mark.parametrize("how", ["pages", "from_disk"])
class TestEveryPage:
    @pytest.fixture
    def seen(self, request, how): return request.getfixturevalue(how)

    def test_asks_no_other_host(self, seen, address, how):
        home = address if how == "pages" else "file:///"
        none_of({name: [u for u in s["asked"] if not u.startswith(home)] for name, s in seen.items()})
        assert all(s["asked"] for s in seen.values())  # else the log was not read

    def test_console_is_quiet(self, seen): none_of({name: s["console"] for name, s in seen.items()})
    def test_nothing_is_broken(self, seen): none_of({name: s["broken"] for name, s in seen.items()})
    def test_players_are_ready(self, seen): none_of({name: s["unready"] for name, s in seen.items()})
    def test_sounds_decode(self, seen): none_of({name: s["silent"] for name, s in seen.items()})
    def test_players_say_what_one_hears(self, seen): none_of({name: s["uncaptioned"] for name, s in seen.items()})
    def test_pictures_have_words(self, seen): none_of({name: s["unnamed"] for name, s in seen.items()})
    def test_fits_a_phone_and_a_desk(self, seen): none_of({name: {w: over for w, over in s["wide"].items() if over > 0} for name, s in seen.items()})
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_is_legible(self, seen, theme): none_of({name: s["faint"][theme] for name, s in seen.items()})


def test_pages_are_light(pages):
    none_of({name: (s["bytes"], s["theme bytes"]) for name, s in pages.items() if s["bytes"] > PAGE_BYTES or s["theme bytes"] > THEME_BYTES})
    assert all(s["bytes"] > 3000 and s["theme bytes"] > 50_000 for s in pages.values())  # else nothing was measured
def test_there_is_something_to_hear(pages): assert sum(s["players"] for s in pages.values()) >= 3


def test_internal_links_lead_somewhere(site, soups):
    ids = {name: {e.get("id") for e in soup.find_all(id=True)} | {e.get("name") for e in soup.find_all("a", attrs={"name": True})} for name, soup in soups.items()}
    lost = []
    for name, soup in soups.items():
        for e in soup.select("[href], [src]"):
            link = urlsplit(e.get("href") or e.get("src"))
            if link.scheme or link.netloc: continue
            target = (site / name).parent.joinpath(unquote(link.path)).resolve() if link.path else site / name
            page = target.relative_to(site).as_posix() if target.is_relative_to(site) else None
            if not page or not target.is_file(): lost.append((name, e))
            elif link.fragment and page in ids and unquote(link.fragment) not in ids[page]: lost.append((name, e))
    assert not lost


def test_exported_cells_name_their_module(soups):
    for path in NOTEBOOKS:
        cells = [directives(text(c))[0] for c in code_cells(json.loads(path.read_text("utf-8")))]
        wanted = sum(bool(found.keys() & {"export", "exporti"}) and "hide" not in found for found in cells)
        assert len(soups[f"nbs/{path.stem}.html"].select(".tag_export .exported a[href*='_modules/ddsp_book/']")) == wanted, path.name


def test_directives_and_hidden_cells_do_not_show(soups):
    none_of({name: [e.get_text()[:80] for e in soup.select("article .cell_input pre") if re.search(r"(?m)^\s*#\s*\|", e.get_text())] for name, soup in soups.items()})


def test_solutions_are_folded_and_open_by_key(address, browser):
    from selenium.webdriver import Keys
    for path in NOTEBOOKS:
        wanted = sum("solution" in directives(text(c))[0] for c in code_cells(json.loads(path.read_text("utf-8"))))
        if not wanted: continue
        browser.get(f"{address}/nbs/{path.stem}.html")
        folds = browser.find_elements("css selector", "details.hide")
        assert len(folds) == wanted and not any(f.get_attribute("open") for f in folds), path.name
        assert folds[0].text.strip() == "Solution"
        folds[0].find_element("tag name", "summary").send_keys(Keys.ENTER)
        assert folds[0].get_attribute("open")


def test_theme_follows_the_reader(address, browser):
    theme = lambda: browser.execute_script("return document.documentElement.dataset.theme")
    ground = lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    for preferred, other in (("dark", "light"), ("light", "dark")):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": preferred}]})
        browser.get(address + "/nbs/index.html")
        browser.execute_script("localStorage.clear(); location.reload()")
        assert theme() == preferred
        before = ground()
        browser.find_element("id", "theme").click()
        assert theme() == other and ground() != before
        browser.refresh()
        assert theme() == other
    browser.execute_script("localStorage.clear()")


def test_contents_open_on_a_phone(address, browser):
    window(browser, 380)
    browser.get(address + "/nbs/index.html")
    chapters, menu = browser.find_element("id", "chapters"), browser.find_element("id", "menu")
    assert not chapters.is_displayed()
    menu.click()
    assert chapters.is_displayed() and menu.get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_finds(way, address, site, browser):
    window(browser, 1300)
    browser.get_log("browser")
    browser.get((address if way == "http" else site.as_uri()) + "/search.html?q=gradient")
    until = time.time() + 10
    while time.time() < until and not (hits := browser.find_elements("css selector", "#search-results li a")): time.sleep(0.1)
    assert any("glossary" in h.get_attribute("href") and h.text.startswith("gradient") for h in hits)
    quotes = lambda: [e.text for e in browser.find_elements("css selector", "#search-results p.context")]
    while way == "http" and time.time() < until and not quotes(): time.sleep(0.1)
    assert way == "file" or any("gradient" in q.lower() for q in quotes())
    assert not [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]


def test_first_page_is_where_the_site_opens(address, browser):
    browser.get(address + "/")
    until = time.time() + 5
    while not browser.current_url.endswith("/nbs/index.html") and time.time() < until: time.sleep(0.05)
    assert browser.current_url.endswith("/nbs/index.html")


def test_every_public_name_is_described(soups):
    import ddsp_book
    described = {e.get("id") for e in soups["nbs/api.html"].select("dt[id]")}
    for path in Path(ddsp_book.__file__).parent.glob("[!_]*.py"):
        module = __import__(f"ddsp_book.{path.stem}", fromlist=["*"])
        callables = {f"ddsp_book.{path.stem}.{n}" for n in module.__all__ if callable(getattr(module, n)) and getattr(module, n).__module__ == module.__name__}
        assert callables and callables <= described, callables - described
    assert len(soups["nbs/api.html"].select("dl.field-list dd li, dl.field-list dd p")) > 20  # the comments behind the parameters


# The glue itself --------------------------------------------------------------------------------

def test_links_follow_the_settings(tmp_path):
    conf = settings()
    assert run_links(conf, "nbs/01_audio.ipynb") == [] or is_public(conf)
    public = tmp_path / "settings.ini"
    public.write_text(re.sub(r"(?m)^user = .*", "user = somebody", (ROOT / "settings.ini").read_text("utf-8")), "utf-8")
    links = dict(run_links(settings(public), "nbs/01_audio.ipynb"))
    assert links["Colab"].endswith("/github/somebody/ddsp_book/blob/main/nbs/01_audio.ipynb")
    assert links["Binder"].startswith("https://mybinder.org/v2/gh/somebody/ddsp_book/main?")


def test_notebook_becomes_page():
    cell = lambda source: {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
    nb = {"metadata": {}, "cells": [cell("#| default_exp audio"), cell("#| export\ndef hiss(): pass"), cell("#| eval: false\n1/0"), cell("#| solution\nx = 1"), cell("y = 2")]}
    tags = [c["metadata"]["tags"] for c in rewrite(nb)["cells"]]
    assert tags == [["remove-cell"], ["export"], ["skip-execution"], ["hide-cell"], []]
    assert rewrite(nb)["cells"][1]["metadata"]["ddsp_exports"] == ["ddsp_book.audio", "hiss"]
    assert "#|" not in "".join(text(c) for c in rewrite(nb)["cells"])


def test_a_chapter_depends_on_what_it_imports():
    page = {"metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "source": "from ddsp_book.audio import example", "outputs": []}]}
    alone = {"metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "source": "import numpy", "outputs": []}]}
    assert {p.name for p in closure("from ddsp_book.audio import example")} >= {"audio.py", "page.py"}
    assert not closure("import numpy")
    assert dependencies(page) != dependencies(alone)


@pytest.mark.parametrize("latex, has", [
    (r"\frac{a}{b}", "<mfrac>"), (r"\left( \sum_{k=1}^{K} a_k \right)", "<munderover><mo>∑"), (r"\int_0^\infty", "<mi>∞</mi>"), (r"\textcolor{#3584c8}{x}", 'mathcolor="#3584c8"'),
    (r"\color{red}{x} y", 'mathcolor="red"'), (r"\begin{cases}1&t<0\\0&t\ge0\end{cases}", "<mtable"), (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "<mtr>"),
    (r"\begin{aligned}a&=b\\c&=d\end{aligned}", 'class="align"'), (r"\mathrm{dB}", "<mi>dB</mi>"), (r"\mathbf{x}", "𝐱"), (r"\hat{y}", "ˆ"), (r"\theta", "θ"), (r"f'(t)", '<mo lspace="0" rspace="0">′</mo>'),
])
def test_formula(latex, has): assert has in mathml(latex, block=True)


def test_unknown_command_is_an_error():
    with pytest.raises(ValueError, match="nosuch"): mathml(r"\nosuch{x}")
