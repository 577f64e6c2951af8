"The same players and instruments in a live JupyterLab: run the cells, see them wake up, play a note on each synth."
import json, os, shutil, socket, subprocess, sys, time
from pathlib import Path
import pytest

CELLS = """\
import numpy as np
from ddsp_book.page import ask, compare, instrument, player
tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
player(tone, 16000, "A tone")
%%
compare({"loud": tone, "soft": 0.2 * tone}, 16000, "Levels")
%%
from ddsp_book.hybrid import example_patch
instrument(example_patch("violin_A4"), "Play it")
%%
instrument({"format": "ddsp_book.patch", "version": 1, "synth": "fm2", "name": "Two", "values": {"f_car": 440, "f_mod": 110, "I": 2}}, "Two operators")
%%
import json
from ddsp_book.page import STATIC
patches = STATIC.parent / "data" / "patches" / "fm6"
instrument([json.loads((patches / name).read_text("utf-8")) for name in ("bell.json", "organ.json")], "Six operators")
%%
ask("How many?", 3)""".split("\n%%\n")

SYNTHS = ("ddsp-hybrid", "ddsp-fm2", "ddsp-fm6")
WIDGETS = ("ddsp-player", "ddsp-ab", *SYNTHS, "ddsp-answer")

@pytest.fixture
def lab(tmp_path):
    "A JupyterLab of its own, with one notebook; its address."
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None, "id": f"c{i}"} for i, source in enumerate(CELLS)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen([Path(sys.executable).with_name("jupyter"), "lab", *options], env={**os.environ, **home}, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}/lab/tree/page.ipynb?reset"
    server.terminate()
    server.wait()

def until(true, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if true(): return
        except Exception: pass  # the page is still on its way
        time.sleep(0.2)
    pytest.fail(f"not within {seconds} s: {what}")

def test_cells_come_alive_in_lab(lab, browser):
    from selenium.webdriver import ActionChains, Keys
    js = browser.execute_script
    def opened():
        browser.get(lab)
        until(lambda: js("return document.querySelectorAll('.jp-Notebook .jp-Cell').length") == len(CELLS), 30, "the notebook opens")
        return True
    until(opened, 60, "JupyterLab answers")
    until(lambda: js("return document.getElementById('jp-main-statusbar').innerText.includes('| Idle')"), 60, "the kernel is idle")
    browser.find_element("css selector", ".jp-Notebook .jp-Cell .cm-content").click()
    for _ in CELLS: ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    awake = f"return [...document.querySelectorAll('{', '.join(WIDGETS)}')].filter((e) => e.hasAttribute('ready')).length"
    until(lambda: js(awake) == len(WIDGETS) == len(CELLS), 60, "every widget wakes up")
    browser.get_log("browser")  # what Lab itself says while it opens
    for synth in SYNTHS: play(browser, synth)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []

def play(browser, synth):
    "The keys of the computer play `synth`, which is heard, and do nothing to the notebook."
    from selenium.webdriver import ActionChains
    js, e = browser.execute_script, f"document.querySelector('{synth}')"
    cells = js("return document.querySelectorAll('.jp-Notebook .jp-Cell').length")
    assert js(f"{e}.scrollIntoView({{ block: 'center' }}); return {e}.shadowRoot.querySelector('.spectrum').clientWidth") > 100
    js(f"{e}.shadowRoot.querySelector('.piano').focus()")
    ActionChains(browser).key_down("d").key_down("x").perform()  # x would cut the cell
    until(lambda: js(f"return {e}.held.size") == 1, 10, f"the key d plays a note on {synth}")
    until(lambda: js(f"return {e}.engine.kind") == "worklet", 10, "the audio thread runs")
    loud = """const x = new Float32Array(4096); ddsp.output(arguments[0]).analyser.getFloatTimeDomainData(x); return Math.max(...x.map(Math.abs))"""
    until(lambda: js(loud, js(f"return {e}.rate")) > 0.02, 10, "it sounds")
    ActionChains(browser).key_up("x").key_up("d").perform()
    until(lambda: js(f"return {e}.held.size") == 0, 10, "and lets it go")
    assert js("return document.querySelectorAll('.jp-Notebook .jp-Cell').length") == cells
