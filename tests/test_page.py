"What the page module puts into a page: safe, playable, described."
import base64, io, json, re
import numpy as np
import pytest
import soundfile
from ddsp_book import page

SINE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)

def decoded(html):
    "Every sound in a piece of HTML, as arrays."
    return [soundfile.read(io.BytesIO(base64.b64decode(data)))[0] for data in re.findall(r"data:audio/flac;base64,([^\"]+)", html)]

@pytest.mark.parametrize("value, shape, complaint", [
    ([[1.0, 2.0]], "(samples,)", r"audio: expected \(samples,\), got \(1, 2\)"),
    ([], "(samples,)", "audio: expected at least one value"),
    ([0.0, np.nan, np.inf], "(samples,)", "audio: 2 of 3 values are NaN or infinite, the first at index 1"),
    (3.0, "(samples,)", r"got \(\)"),
])
def test_expect_names_the_argument(value, shape, complaint):
    with pytest.raises(ValueError, match=complaint): page.expect("audio", value, shape)

@pytest.mark.parametrize("value", ["loud", [1j], [None], [True]])
def test_expect_wants_real_numbers(value):
    with pytest.raises(TypeError, match="audio: expected real numbers"): page.expect("audio", value)

def test_expect_positive():
    with pytest.raises(ValueError, match="sample_rate: expected values above 0, got -1"): page.expect("sample_rate", -1, "()", positive=True)

def test_player_holds_the_sound_and_a_caption():
    shown = page.player(SINE, 16000, "A <sine> & more")
    assert np.abs(decoded(shown.html)[0] - SINE).max() < 2**-15
    assert "A &lt;sine&gt; &amp; more" in shown.html and "<sine>" not in shown.html
    assert repr(shown) == "Sound: A <sine> & more, 0.50 s"

def test_nothing_is_louder_than_full_scale():
    shown = page.player(4 * SINE, 16000, "Loud")
    assert np.abs(decoded(shown.html)[0]).max() <= 1 and "turned down 6.0 dB" in shown.text

def test_player_refuses_what_cannot_be_heard():
    with pytest.raises(ValueError, match="audio"): page.player([np.nan], 16000, "")

def test_compare_matches_levels():
    shown = page.compare({"loud": SINE, "soft": 0.1 * SINE, "silent": 0 * SINE}, 16000, "Levels")
    gains_db = [float(g) for g in re.findall(r'data-gain-db="([^"]+)"', shown.html)]
    levels = [np.sqrt(np.mean((sound * 10 ** (gain / 20)) ** 2)) for sound, gain in zip(decoded(shown.html), gains_db)]
    assert levels[0] == pytest.approx(levels[1], rel=0.01) and max(gains_db) <= 0

def test_scrubber_keeps_the_whole_curve_and_every_sound():
    losses = 0.99 ** np.arange(2000)
    shown = page.scrubber({0: SINE, 7: SINE, 1999: SINE}, losses, 16000, "Learning")
    pairs = dict(json.loads(re.search(r'losses="([^"]+)"', shown.html)[1]))
    assert {0, 7, 1999} <= set(pairs) and len(pairs) < 700 and pairs[7] == pytest.approx(losses[7], rel=1e-3)
    assert re.findall(r'data-step="(\d+)"', shown.html) == ["0", "7", "1999"]

def test_a_hostile_patch_stays_data():
    patch = {"synth": "hybrid", "name": "</script><script>alert(1)</script>", "values": {}}
    html = page.instrument(patch, "<img onerror=x>").html
    assert html.count("</script>") == 1 and "<img" not in html
    assert json.loads(re.search(r"json\">(.*)</script>", html)[1]) == patch
    with pytest.raises(ValueError, match="synth"): page.instrument({"synth": "x onload=alert(1)"}, "")
    with pytest.raises(ValueError, match="one synth"): page.instrument([{"synth": "hybrid"}, {"synth": "fm"}], "")

def test_figures_are_described_and_follow_the_ink():
    import matplotlib.pyplot as plt
    with plt.rc_context(page._style()):
        figure, ax = plt.subplots()
        ax.plot([0, 1], label="a line"); ax.legend()
        svg = page._svg(figure, 'A "rising" line')
        plt.close(figure)
    assert 'role="img"' in svg and 'aria-label="A &quot;rising&quot; line"' in svg
    assert "currentColor" in svg and page._INK not in svg and "a line</text>" in svg
    assert not re.search(r'<g id="', svg)

def test_check_says_what_is_wrong():
    def double(x): return 2 * x
    def wrong(x): return 3 * x
    def empty(x): ...
    cases = [((1,), 2), ((np.arange(3),), [0, 2, 4])]
    assert page.check(double, cases).text == "Right: 2 of 2 cases."
    assert page.check(wrong, cases).text == "Not yet: wrong(1) gave 3, expected 2"
    assert page.check(empty, cases).text == "Waiting for your empty."
    assert "raised ZeroDivisionError" in page.check(lambda x: 1 / 0, [((1,), 1)]).text
    assert page.check(double).text == "Right: 2 of 2 cases.", "the cases given last are remembered"
    assert page.check(lambda: (np.ones(2), 3), [((), ([1, 1], 3))]).text.startswith("Right")
    assert page.check(lambda: (np.ones(2), 4), [((), ([1, 1], 3))]).text.startswith("Not yet")

def test_ask_escapes_and_holds_the_answer():
    html = page.ask("Is `a < b`?", 1.5, "Hz", 0.01, "<b>").html
    assert "<code>a &lt; b</code>" in html and 'value="1.5"' in html and "<b>" not in html.replace("<b>", "", 0).replace("&lt;b&gt;", "")

def test_live_jupyter_gets_the_widget_and_the_page_does_not(monkeypatch):
    shown = page.player(SINE, 16000, "Sine")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert set(shown._repr_mimebundle_()) == {"text/plain", "text/html"}
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    bundle = shown._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle and bundle["text/html"] == shown.html
    assert "export default" in page._widget_class()._esm
