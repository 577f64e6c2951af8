"""A page of widgets in a real browser: what the tests of the players and of the synths share.

With the script that the site ships: all of `ddsp_book/static/*.js` as one.
"""
import base64, functools, http.server, io, json, os, shutil, threading, time
from contextlib import contextmanager
from pathlib import Path
import numpy as np
import pytest
import soundfile
from glue import widgets_script  # conftest.py has put nbs/_site on the path

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_BROWSER = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER or os.environ.get("CI")), reason="the widgets were not tried: needs chromium and chromedriver"),
    pytest.mark.xdist_group("browser"),  # one browser for the whole file
]
STATIC = Path(__file__).resolve().parent.parent / "ddsp_book" / "static"
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --window-size=900,1000""".split()

def make_html(body): return f'<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Widgets</title><script src="ddsp.js"></script><body>{body}'

def patch_tag(patch): return f'<script type="application/json">{json.dumps(patch).replace("<", chr(92) + "u003c")}</script>'


class Page:
    "The browser, with the few verbs that the tests use."
    def __init__(self, driver, rate): self.driver, self.rate = driver, rate
    def js(self, script, *args): return self.driver.execute_script(script, *args)
    def wait(self, condition, seconds=8):
        end = time.time() + seconds
        while time.time() < end:
            value = self.js(f"return {condition}")
            if value: return value
            time.sleep(0.03)
        pytest.fail(f"never became true: {condition}")
    def later(self, script, *args):
        "The value that the async JavaScript function body `script` returns."
        code = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments).then(done, (e) => done('error: ' + e))"
        value = self.driver.execute_async_script(code, *args)
        assert not str(value).startswith("error: "), value
        return value
    def focus(self, id, selector): self.js(f"document.getElementById('{id}').shadowRoot.querySelector('{selector}').focus()")
    def keys(self, *keys):
        from selenium.webdriver import ActionChains
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()
    def click(self, id, selector, n=0): self.js(f"document.getElementById('{id}').shadowRoot.querySelectorAll('{selector}')[{n}].click()")
    def level(self):
        "Peak of what leaves for the loudspeaker in this moment."
        return self.js(f"const x = new Float32Array(4096); ddsp.output({self.rate}).analyser.getFloatTimeDomainData(x); return Math.max(...x.map(Math.abs))")
    def peak(self, seconds):
        end, peak = time.time() + seconds, 0
        while time.time() < end: peak = max(peak, self.level())
        return peak


@contextmanager
def served(root, body):
    "The addresses, by http and as a file, of a page with `body`."
    (root / "index.html").write_text(make_html(body), encoding="utf-8")
    (root / "ddsp.js").write_text(widgets_script(), encoding="utf-8")
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"http": f"http://localhost:{server.server_port}/index.html", "file": (root / "index.html").as_uri()}
    server.shutdown()

@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS: options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()

READY = "[...document.querySelectorAll('[id]')].every((e) => e.hasAttribute('ready') || e.hasAttribute('failed'))"

def visit(browser, url, rate=16000):
    for log in ("browser", "performance"): browser.get_log(log)
    browser.get(url)
    page = Page(browser, rate)
    page.wait(READY)
    return page

@contextmanager
def watched(browser, url, rate=16000):
    "The page at `url`; at the end: no errors, no request to anywhere else."
    yield visit(browser, url, rate)
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    own = url.rsplit("/", 1)[0]
    assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []


# --- sounds and instruments -------------------------------------------------------------------------------

PACKED = "const packed = (x) => { let s = ''; for (const b of new Uint8Array(x.buffer)) s += String.fromCharCode(b); return btoa(s); };"
def unpacked(texts, kind): return np.stack([np.frombuffer(base64.b64decode(text), kind) for text in texts])

def played(page, patches, n, fs):
    "(patches, n): each as the audio thread plays it, its note started and stopped as live playing would, in an OfflineAudioContext."
    return unpacked(page.later(PACKED + """const [patches, n, fs] = args, done = [];
        for (const patch of patches) {
          const context = new OfflineAudioContext(1, n, fs), { f0_hz, note_s, velocity } = patch.values;
          const events = [[0, 'noteOn', 'a', f0_hz, velocity], [Math.round(note_s * fs), 'noteOff', 'a']];
          const node = await ddsp.synthNode(context, { synth: patch.synth, patch, events });
          node.connect(context.destination);
          done.push(packed((await context.startRendering()).getChannelData(0)));
        }
        return done""", patches, n, fs), np.float32)

def said(page, id): return page.js(f"return document.getElementById('{id}').shadowRoot.querySelector('.status').textContent")
def values(page, id): return json.loads(page.js(f"return document.getElementById('{id}').patchText()"))["values"]

def taken_home(page, id):
    "The file behind `Save note as WAV`: audio, rate."
    data = page.later(f"""const e = document.getElementById('{id}');
        const bytes = new Uint8Array(await ddsp.encodeWav(e.renderNote(), e.rate).arrayBuffer());
        let s = ''; for (const b of bytes) s += String.fromCharCode(b);
        return btoa(s)""")
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


# What a file of tests needs that has a `site` of its own, and says in FS at which rate it plays.

@pytest.fixture(scope="module")
def sound(request, browser, site):
    "A page for the tests that only compute."
    return visit(browser, site["http"], request.module.FS)

@pytest.fixture(params=["http", "file"], scope="module")
def page(request, browser, site):
    with watched(browser, site[request.param], request.module.FS) as page: yield page
