"""The page's players and synth in a real browser: over http and by double-click, against a NumPy formula.

The page is built as the site builds it: all of `ddsp_book/static/*.js` in one classic script.
"""
import base64, functools, http.server, io, json, os, shutil, threading, time
from pathlib import Path
import numpy as np
import pytest
import soundfile

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER or os.environ.get("CI")), reason="the widgets were not tried: needs chromium and chromedriver"),
    pytest.mark.xdist_group("browser"),  # one browser for the whole file
]
STATIC = Path(__file__).resolve().parent.parent / "ddsp_book" / "static"
FS = 16000
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --window-size=900,1000""".split()


# --- a page with one of everything ------------------------------------------------------------------

def uri(audio):
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, FS, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode()

def audio_tag(audio, name, gain_db=0, step=None):
    step = "" if step is None else f'data-step="{step}"'
    return f'<audio controls src="{uri(audio)}" data-name="{name}" data-rate="{FS}" data-gain-db="{gain_db}" {step}></audio>'

def make_patch(harmonics=40, taps=64, reverb=1024, seed=3, name="<b>Violin</b> & friends"):
    rng = np.random.default_rng(seed)
    amps = 0.3 * rng.uniform(-1, 1, harmonics) / np.arange(1, harmonics + 1)
    ir = 0.05 * rng.standard_normal(reverb) * np.exp(-np.arange(reverb) / 200)
    if reverb: ir[0] = 0.8
    values = dict(fs=FS, N=FS, K_harm=harmonics, M_noise=taps, L_reverb=reverb, harmonic_amps=amps.tolist(),
                  noise_fir=(0.002 * rng.standard_normal(taps)).tolist(), reverb_ir=ir.tolist(), f0_hz=440.0, noise_seed=seed)
    return {"format": "ddsp_book.patch", "version": 1, "synth": "hybrid", "name": name, "origin": {}, "units": {}, "values": values,
            "performance": {"every": 80, "f0_hz": (440 + rng.uniform(-5, 5, 200)).tolist(), "gain": rng.uniform(0, 1, 200).tolist()}, "sha256": ""}

def make_page():
    t = np.arange(2 * FS) / FS
    tone = lambda hz: 0.5 * np.sin(2 * np.pi * hz * t)
    losses = [[step, float(np.exp(-step / 20)) + 1e-3] for step in range(0, 101, 2)]
    body = f"""
    <ddsp-player id="player" caption="A tone">{audio_tag(tone(440), "Tone")}</ddsp-player>
    <ddsp-player id="other" caption="Another">{audio_tag(tone(330), "Other")}</ddsp-player>
    <ddsp-player id="broken" caption="Broken"><audio controls src="data:audio/flac;base64,AAAA" data-rate="{FS}"></audio></ddsp-player>
    <ddsp-ab id="ab" caption="Two tones">{audio_tag(tone(440), "<i>First</i>".replace("<", "&lt;"), -3)}{audio_tag(tone(660)[:FS], "Second")}</ddsp-ab>
    <ddsp-scrubber id="scrubber" caption="Training" loss-label="MSE" losses="{json.dumps(losses)}">
      {"".join(audio_tag(tone(200 + s)[: FS // 4], f"step {s}", step=s) for s in (0, 10, 50, 100))}</ddsp-scrubber>
    <ddsp-hybrid id="hybrid" caption="Play it"><script type="application/json">{json.dumps(make_patch()).replace("<", chr(92) + "u003c")}</script></ddsp-hybrid>
    <ddsp-answer id="answer" value="1000.5" tolerance="0.001" unit="Hz"><p class="question">How high?</p><details><summary>Solution</summary><p>So high.</p></details></ddsp-answer>"""
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Widgets</title><script src="ddsp.js"></script><body>{body}'

def make_script():
    css = json.dumps((STATIC / "ddsp.css").read_text())
    files = [path.read_text() for path in sorted(STATIC.glob("*.js"))]
    return "\n".join(["(() => {", f"const DDSP_CSS = {css};", *files, "})();"])


class Page:
    "The browser, with the few verbs that the tests use."
    def __init__(self, driver): self.driver = driver
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
        return self.js(f"const x = new Float32Array(4096); ddsp.output({FS}).analyser.getFloatTimeDomainData(x); return Math.max(...x.map(Math.abs))")
    def peak(self, seconds):
        end, peak = time.time() + seconds, 0
        while time.time() < end: peak = max(peak, self.level())
        return peak


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The folder of the page, and a server for it."
    root = tmp_path_factory.mktemp("site")
    (root / "index.html").write_text(make_page(), encoding="utf-8")
    (root / "ddsp.js").write_text(make_script(), encoding="utf-8")
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

def visit(browser, url):
    for log in ("browser", "performance"): browser.get_log(log)
    browser.get(url)
    page = Page(browser)
    page.wait(READY)
    return page

@pytest.fixture(scope="module")
def sound(browser, site):
    "A page for the tests that only compute."
    return visit(browser, site["http"])

@pytest.fixture(params=["http", "file"], scope="module")
def page(request, browser, site):
    "The page by http and by file://, and at the end: no errors, no request to anywhere else."
    page = visit(browser, site[request.param])
    yield page
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    own = site[request.param].rsplit("/", 1)[0]
    assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []


# --- players ----------------------------------------------------------------------------------------

def test_every_widget_becomes_ready_or_shows_the_native_player(page):
    assert page.js("return [...document.querySelectorAll('[failed]')].map((e) => e.id)") == ["broken"]
    height = page.js("return document.querySelector('#broken audio').getBoundingClientRect().height")
    assert height > 20  # the fallback is there to be used

def test_a_player_draws_plays_seeks_and_loops(page):
    from selenium.webdriver import Keys
    drawn = "document.getElementById('player').shadowRoot.querySelector('.spectrogram').width > 300"
    page.wait(drawn)
    page.focus("player", ".screen")
    page.keys(Keys.SPACE)
    page.wait("document.getElementById('player').transport.position > 0.3")
    assert 0.4 < page.peak(0.2) <= 1
    page.keys(Keys.SPACE)
    stopped = page.js("return document.getElementById('player').transport.position")
    time.sleep(0.1)
    position = "document.getElementById('player').transport.position"
    assert page.js(f"return {position}") == stopped
    page.keys(Keys.HOME)
    assert page.js(f"return {position}") == 0
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.js(f"return {position}") == pytest.approx(0.1)
    slider = page.js("const s = document.getElementById('player').shadowRoot.querySelector('.screen'); return [s.role, s.ariaValueText, s.ariaValueMax]")
    assert slider == ["slider", "0.10 of 2.00 seconds", "2.00"]
    page.click("player", ".toggle")  # loop
    page.js("document.getElementById('player').transport.play(1.8)")
    page.wait(f"{position} < 1")
    assert page.js("return document.getElementById('player').hasAttribute('playing')")
    page.click("player", ".toggle")
    page.js("document.getElementById('player').transport.play(1.8)")
    page.wait("!document.getElementById('player').hasAttribute('playing')")

def test_a_click_seeks(page):
    from selenium.webdriver import ActionChains
    screen = page.js("return document.getElementById('player').shadowRoot.querySelector('.screen')")
    page.js("arguments[0].scrollIntoView({block: 'center'})", screen)
    ActionChains(page.driver, duration=0).move_to_element(screen).click().perform()
    assert page.js("return document.getElementById('player').transport.position") == pytest.approx(1, abs=0.02)

def test_one_player_at_a_time(page):
    page.js("document.getElementById('player').transport.play(0)")
    page.click("other", ".play")
    assert page.js("return ['player', 'other'].map((id) => document.getElementById(id).hasAttribute('playing'))") == [False, True]
    page.click("other", ".play")

def test_ab_switches_and_keeps_the_place(page):
    page.focus("ab", ".screen")
    page.js("document.getElementById('ab').transport.play(0.5)")
    before = page.js("return document.getElementById('ab').transport.position")
    page.keys("b")
    heard, position = page.js("const t = document.getElementById('ab').transport; return [t.heard, t.position]")
    assert heard == 1 and before <= position < before + 1
    page.keys("1")
    assert page.js("return document.getElementById('ab').transport.heard") == 0
    time.sleep(0.4)
    page.js("document.getElementById('ab').transport.play(0.2)")
    time.sleep(0.3)
    assert page.level() == pytest.approx(0.5 * 10 ** (-3 / 20), abs=0.02)  # turned down by data-gain-db
    page.js("document.getElementById('ab').transport.pause()")
    names = page.js("return [...document.getElementById('ab').shadowRoot.querySelectorAll('.choice')].map((b) => b.textContent)")
    assert names == ["A <i>First</i>", "B Second"]  # names are text, never markup

def test_the_blind_test_hides_and_scores(page):
    root = "document.getElementById('ab').shadowRoot"
    page.click("ab", ".words")
    assert "First" not in page.js(f"return {root}.querySelector('.choices').textContent")
    assert page.js(f"return getComputedStyle({root}.querySelector('.spectrogram')).visibility") == "hidden"
    for trial in range(4):
        right = page.js("return document.getElementById('ab').order.indexOf(0)")
        page.click("ab", ".guess", right)
    assert "4 of 4 right; guessing does as well 6.3 % of the time" in page.js(f"return {root}.querySelector('.quiz').textContent")
    page.click("ab", ".words")
    assert "First" in page.js(f"return {root}.querySelector('.choices').textContent")
    assert page.js("return [ddsp.byChance(0, 5, 2), ddsp.byChance(7, 8, 2)]") == pytest.approx([1, 9 / 256])

def test_the_scrubber_plays_checkpoints(page):
    from selenium.webdriver import Keys
    page.focus("scrubber", ".curve")
    page.keys(Keys.HOME)
    state = "const e = document.getElementById('scrubber'); return [e.transport.heard, e.transport.playing, e.shadowRoot.querySelector('.curve').ariaValueText]"
    assert page.js(state) == [0, True, "step 0, MSE 1"]
    page.keys(Keys.ARROW_RIGHT)
    assert page.js(state) == [1, True, "step 10, MSE 0.608"]
    assert page.peak(0.3) > 0.4
    page.js("document.getElementById('scrubber').transport.pause()")
    page.click("scrubber", ".words")  # play the training: from the first to the last
    assert page.js(state)[0] == 0
    page.wait("document.getElementById('scrubber').transport.heard === 3 && !document.getElementById('scrubber').transport.playing")


# --- the answer -------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, verdict", [
    ("1,000.5", "right"), ("1.000,5 Hz", "right"), ("1000,5", "right"), ("1.0005 kHz", "right"), ("1 000.4", "right"),
    ("998", "low"), ("−1000.5", "low"), ("2e3", "high"), ("many", "unclear"), ("", "unclear"), ("<img src=x>", "unclear")])
def test_the_answer_is_judged(page, text, verdict):
    from selenium.webdriver import Keys
    page.js("document.getElementById('answer').shadowRoot.querySelector('input').value = arguments[0]", text)
    page.focus("answer", "input")
    page.keys(Keys.ENTER)
    assert page.js("return document.getElementById('answer').getAttribute('verdict')") == verdict
    assert page.js("return document.getElementById('answer').shadowRoot.querySelector('[aria-live]').textContent") != ""


# --- the live synth ---------------------------------------------------------------------------------

def test_typed_notes_sound_and_never_exceed_full_scale(page):
    page.focus("hybrid", ".piano")
    page.js("""window.press = (code, type) => document.getElementById('hybrid').shadowRoot.activeElement.dispatchEvent(
            new KeyboardEvent(type, { code, bubbles: true, composed: true }))""")
    from selenium.webdriver import ActionChains
    ActionChains(page.driver, duration=0).key_down("h").perform()
    page.wait("document.getElementById('hybrid').held.size === 1")
    page.wait("document.getElementById('hybrid').engine.kind === 'worklet'")
    assert page.peak(0.4) > 0.05
    assert "440.0 Hz" in page.js("return document.getElementById('hybrid').shadowRoot.querySelector('.bar').textContent")
    page.js("for (const k of 'ASDFGHJK') press('Key' + k, 'keydown')")
    assert 0.3 < page.peak(0.5) <= 1
    page.js("document.getElementById('hybrid').shadowRoot.activeElement.blur()")  # whoever leaves leaves silence
    page.wait("document.getElementById('hybrid').held.size === 0")
    ActionChains(page.driver, duration=0).key_up("h").perform()
    time.sleep(0.8)
    assert page.level() < 1e-3

def test_the_note_can_be_heard_as_it_was_played(page):
    page.js("document.getElementById('hybrid').performButton.click()")
    assert page.peak(0.4) > 0.05
    page.wait("document.getElementById('hybrid').held.size === 0")

def test_the_harmonics_are_sliders(page):
    from selenium.webdriver import Keys
    bar = "document.getElementById('hybrid').shadowRoot.querySelectorAll('.harmonic')[1]"
    page.focus("hybrid", ".harmonic")
    page.keys(Keys.ARROW_RIGHT, Keys.HOME)
    assert page.js(f"return [{bar}.ariaLabel, {bar}.ariaValueText]") == ["Harmonic 2", "silent"]
    saved = json.loads(page.js("return document.getElementById('hybrid').patchText()"))
    assert saved["values"]["harmonic_amps"][1] == 0 and "sha256" not in saved
    page.js("document.getElementById('hybrid').reset()")
    assert page.js("return document.getElementById('hybrid').patchText()") == json.dumps(make_patch()).replace("<", "\\u003c")

def test_a_mouse_plays_keys_and_draws_harmonics(page):
    from selenium.webdriver import ActionChains
    inside = lambda selector: page.js("const e = document.getElementById('hybrid').shadowRoot.querySelector(arguments[0]); e.scrollIntoView({block: 'center'}); return e", selector)
    do = lambda: ActionChains(page.driver, duration=20)
    page.js("""const synth = document.getElementById('hybrid'), noteOn = synth.noteOn;
        window.played = [];
        synth.noteOn = function (id, midi, velocity) { played.push(midi); noteOn.call(synth, id, midi, velocity); }""")
    white = lambda midi: inside(f'[data-midi="{midi}"]')
    do().click_and_hold(white(62)).move_to_element(white(64)).release().perform()  # a finger slides over the keys
    played = page.js("return played")
    assert played[0] == 62 and played[-1] == 64
    assert page.js("delete document.getElementById('hybrid').noteOn; return document.getElementById('hybrid').held.size") == 0
    amps = "return document.getElementById('hybrid').bars.amps"
    before = np.array(page.js(amps))
    do().move_to_element_with_offset(inside(".bars"), -100, 0).click_and_hold().move_by_offset(200, -40).release().perform()
    changed = np.flatnonzero(np.array(page.js(amps)) != before)
    assert len(changed) > 5 and np.all(np.diff(changed) == 1)  # one stroke, without gaps
    page.js("document.getElementById('hybrid').reset()")

def test_patches_are_checked_before_they_sound(page):
    said = "return document.getElementById('hybrid').shadowRoot.querySelector('.status').textContent"
    def opened(text):
        page.js("document.getElementById('hybrid').open(arguments[0])", text)
        return page.js(said)
    spoil = lambda **values: json.dumps({**make_patch(), "values": {**make_patch()["values"], **values}})
    assert opened("{nonsense") == "Not opened. This file is not JSON."
    assert opened("[]").startswith("Not opened. This is not a patch")
    assert opened(json.dumps({**make_patch(), "synth": "fm6"})) == 'Not opened. synth: this panel plays "hybrid", the patch is for "fm6".'
    assert opened(spoil(K_harm=39)) == "Not opened. harmonic_amps: expected 39 numbers, found 40."
    assert opened(spoil(noise_fir=[None] * 64)) == "Not opened. noise_fir: number 1 is null."
    assert opened(spoil(fs=4)) == "Not opened. fs: expected a number from 8000 to 96000, found 4."
    assert opened(json.dumps(make_patch(12, name="<img src=x onerror=alert(1)>"))) == "Opened."
    assert page.js("return document.getElementById('hybrid').shadowRoot.querySelector('img')") is None
    assert page.js("return document.getElementById('hybrid').shadowRoot.querySelectorAll('.harmonic').length") == 12
    assert opened(json.dumps(make_patch())) == "Opened."

def test_a_patch_edited_in_the_page_plays_in_python(page, tmp_path):
    from ddsp_book.hybrid import load_patch, render_patch
    text = page.js("""const e = document.getElementById('hybrid');
        e.bars.set(2, 0.9); e.bars.set(5, 0);
        const text = e.patchText(), sound = [...e.sketch(4000, 440)];
        e.reset();
        return [text, sound]""")
    (tmp_path / "edited.json").write_text(text[0], encoding="utf-8")
    patch = load_patch(tmp_path / "edited.json")
    assert patch["name"].endswith("(edited)") and patch["values"]["harmonic_amps"][5] == 0
    skip = min(2048, patch["values"]["L_reverb"])
    assert np.abs(render_patch(patch, 440.0, 1.0, 4000 + skip)[skip:] - text[1]).max() < 1e-6

def test_a_note_can_be_taken_home_as_wav(page):
    data = page.later("""const e = document.getElementById('hybrid');
        const bytes = new Uint8Array(await ddsp.encodeWav(e.renderNote(), e.patch.values.fs).arrayBuffer());
        return btoa(String.fromCharCode(...bytes))""")
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == FS and len(audio) > 1.5 * FS and 0.05 < np.abs(audio).max() <= 1


# --- sample by sample -------------------------------------------------------------------------------

def noise(n, seed):
    "The contract's counter-based noise, in NumPy."
    x = (np.arange(n, dtype=np.uint64) + np.uint64(seed * 0x9E3779B9 % 2**32)) % 2**32
    x ^= x >> np.uint64(16); x = x * np.uint64(0x7FEB352D) % 2**32
    x ^= x >> np.uint64(15); x = x * np.uint64(0x846CA68B) % 2**32
    x ^= x >> np.uint64(16)
    return (2 * x.astype(float) / 2**32 - 1) * np.sqrt(3)

def reference(patch, f0, n):
    "The same note from direct formulas: np.sin, np.cumsum, np.convolve. No `f0`: as it was played."
    v, gain = patch["values"], 1.0
    if f0 is None:
        p = patch["performance"]
        f0, gain = (np.interp(np.arange(n), p["every"] * np.arange(len(p[key])), p[key]) for key in ("f0_hz", "gain"))
    f0 = np.broadcast_to(np.asarray(f0, float), n)
    theta = np.r_[0, np.cumsum(f0)[:-1]] / v["fs"]
    dry = np.convolve(noise(n, v["noise_seed"]), v["noise_fir"])[:n] if v["M_noise"] else np.zeros(n)
    for k, amp in enumerate(v["harmonic_amps"], 1):
        dry = dry + np.where(k * f0 < v["fs"] / 2, amp * np.sin(2 * np.pi * k * theta), 0)
    return np.convolve(gain * dry, v["reverb_ir"] if v["L_reverb"] else [1.0])[:n]

GLIDE = np.geomspace(150, 900, 6000)

@pytest.mark.parametrize("f0, block, shape", [
    (440.0, 128, (40, 64, 1024)), (440.0, 1, (40, 64, 1024)), (440.0, 1000, (40, 64, 1024)), (440.0, 6000, (40, 64, 1024)),
    (GLIDE, 128, (40, 64, 1024)), (GLIDE, 37, (40, 300, 1000)),  # harmonics leave the band as the pitch rises
    (3000.0, 128, (40, 64, 100)), (400.0, 64, (20, 1, 1)), (61.7, 256, (100, 129, 3000)),
    (None, 100, (40, 64, 1024)), (220.0, 128, (10, 0, 0))], ids=str)
def test_the_browser_computes_what_numpy_computes(sound, record_property, f0, block, shape):
    patch = make_patch(*shape)
    f0_js = f0.tolist() if isinstance(f0, np.ndarray) else f0
    got = sound.js("return [...ddsp.makeDSP().renderHybrid(...arguments)]", patch, f0_js, 6000, block)
    error = np.abs(np.array(got) - reference(patch, f0, 6000)).max()
    record_property("max_error", error)
    print(f"max error {error:.1e}")
    assert error < 1e-6

PATCHES = ("violin_A4", "trumpet_C4", "flute_A4", "clarinet_D4", "cello_C3", "saxophone_G3")

@pytest.mark.parametrize("name", PATCHES)
def test_the_books_patches_sound_the_same_in_python_and_in_the_browser(sound, record_property, name):
    from ddsp_book.hybrid import example_patch, render_patch
    from ddsp_book.runtime import Runtime
    patch, runtime = example_patch(name), Runtime(example_patch(name))
    runtime.note_on(330.0)
    play = "return [...ddsp.makeDSP().renderHybrid(arguments[0], arguments[1] ?? undefined, 16000, 128)]"
    for f0_hz, expected in ((330.0, runtime.process(16000)), (None, render_patch(patch))):  # None: as it was played
        error = np.abs(np.array(sound.js(play, patch, f0_hz)) - expected).max()
        record_property("error", error)
        assert error < 1e-6

def test_noise_is_white_and_seekable(sound):
    got = np.array(sound.js("const { noise } = ddsp.makeDSP(); return Array.from({ length: 20000 }, (_, i) => noise(i, 7))"))
    np.testing.assert_allclose(got, noise(20000, 7), atol=1e-12)
    assert abs(got.mean()) < 0.03 and abs(got.std() - 1) < 0.02

def test_the_audio_thread_computes_the_same(page):
    patch = make_patch()
    got = page.later("""const [patch, n] = args, context = new OfflineAudioContext(1, n, patch.values.fs);
        const node = await ddsp.synthNode(context, { synth: 'hybrid', patch, events: [[0, 'noteOn', 'a', 440, 1]] });
        node.connect(context.destination);
        return [...(await context.startRendering()).getChannelData(0)]""", patch, 8000)
    error = np.abs(np.array(got) - reference(patch, 440.0, 8000)).max()
    print(f"max error {error:.1e}")
    assert error < 1e-5

def test_chords_of_a_loud_patch_are_limited(sound):
    patch = make_patch()
    patch["values"]["harmonic_amps"] = [0.9] * 20
    peak, silent = sound.js("""const synth = new (ddsp.makeDSP().HybridSynth)(arguments[0]), out = new Float32Array(16000);
        synth.setRelease(0.1);
        for (let i = 0; i < 20; i++) synth.noteOn(i, 110 + 20 * i, 1);
        synth.process(out);
        const peak = Math.max(...out.map(Math.abs));
        synth.allNotesOff();
        synth.process(out); synth.process(out);
        return [peak, Math.max(...out.map(Math.abs))]""", patch)
    assert 0.9 < peak <= 1 and silent < 1e-9

def test_without_an_audio_thread_it_still_plays(browser, site):
    page = visit(browser, site["file"])
    page.js("Object.defineProperty(BaseAudioContext.prototype, 'audioWorklet', { value: undefined })")
    page.js("document.getElementById('hybrid').noteOn('x', 69, 1)")
    page.wait("document.getElementById('hybrid').engine.kind === 'buffers'")
    time.sleep(0.2)
    assert 0.05 < page.peak(0.4) <= 1
    page.js("document.getElementById('hybrid').noteOff('x')")
    time.sleep(0.8)
    assert page.level() < 1e-3
