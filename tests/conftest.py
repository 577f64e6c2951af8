"""Shared by all tests: the built site, a browser to look at it, and what nbval needs to know about this book's notebooks."""
import functools, http.server, os, shutil, subprocess, sys, threading
from pathlib import Path

import hypothesis, pytest

hypothesis.settings.register_profile("book", deadline=None)  # how long a case takes says nothing on a shared machine
hypothesis.settings.load_profile("book")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "nbs" / "_site"))


# Notebooks --------------------------------------------------------------------------------------

class AllButText:
    "What nbval leaves out of its comparison: all that is neither printed nor a result's plain text."
    def __contains__(self, key): return key not in ("data", "stdout", "text/plain")


def pytest_collection_modifyitems(items):
    for item in items:
        if type(item).__name__ != "IPyNbCell": continue
        item.parent.skip_compare = AllButText()
        item.cell.execution_count = 0  # cleaned notebooks hold null, which nbval takes for "never run"
        if "#| eval: false" in item.cell.source: item.options["skip"] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.user_properties = [(k, v.item() if hasattr(v, "item") else v) for k, v in report.user_properties]  # NumPy's numbers do not travel between processes
    return report


# The site ---------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def site(tmp_path_factory):
    "The built book. All pages are read again, so that no warning hides in a cache; chapters run only if they changed."
    import fcntl
    with open(tmp_path_factory.getbasetemp().parent / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes, one build
        done = Path(lock.name).with_suffix(".done")
        if "PYTEST_XDIST_TESTRUNUID" not in os.environ or not done.exists():
            shutil.rmtree(ROOT / "_build" / "html", ignore_errors=True)  # nor a page that nothing leads to any more
            build = [Path(sys.executable).with_name("jupyter-book"), "build", str(ROOT), "--all", "-W", "--keep-going"]
            ran = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
            if ran.returncode: pytest.fail("The book does not build.\n" + ran.stdout[-6000:] + ran.stderr[-6000:], pytrace=False)
            done.touch()
    return ROOT / "_build" / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="session")
def address(site):
    "The site over HTTP, at a port of its own."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    "Headless Chromium that keeps a log of its requests and its console."
    from selenium import webdriver
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        say = pytest.fail if os.environ.get("CI") else pytest.skip  # on a machine that decides, nothing is left out
        say("the pages were not looked at: needs chromium and chromedriver; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
                 "disable-sync", "disable-dev-shm-usage", "hide-scrollbars", "autoplay-policy=no-user-gesture-required"): options.add_argument("--" + flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
    chromium.set_script_timeout(120)
    yield chromium
    chromium.quit()
