"""Rules about the tree that keep the book a book: its layering, its size, its licences, its one public address."""
import csv, json, re, subprocess, sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from glue import settings
from glue_notebooks import code_cells, directives, imported, module_of, text

NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
TRACKED = [ROOT / f for f in subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0") if f and (ROOT / f).is_file()]
TEXTS = [p for p in TRACKED if p.suffix not in (".flac", ".woff2", ".png", ".npz", ".npy")]


def notebook(path): return json.loads(path.read_text("utf-8"))


def chapters():
    "Modules from the bottom of the stack up: `page`, which all may use, then the chapters in reading order."
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    paths = [ROOT / (c["file"] + ".ipynb") for part in toc["parts"] for c in part["chapters"]]
    order = [p for p in paths if p.is_file() and module_of(notebook(p))]
    return sorted(order, key=lambda p: module_of(notebook(p)) != "ddsp_book.page")


def test_tree_is_listed(): assert len(TRACKED) > 20


def test_notebooks_and_modules_agree():
    ran = subprocess.run([sys.executable, ROOT / "nbs/_site/sync.py", "--check"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_no_file_is_large(): assert not [p for p in TRACKED if p.stat().st_size > 1_000_000]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_holds_source_and_short_text(path):
    outputs = [o for c in code_cells(notebook(path)) for o in c["outputs"]]
    kinds = {k for o in outputs for k in o.get("data", {})}
    assert kinds <= {"text/plain"} and not any(o["output_type"] == "error" for o in outputs)
    assert all(len(json.dumps(o)) < 4000 for o in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_chapter_imports_only_from_above(path):
    order = chapters()
    above = order[:order.index(path) + 1] if path in order else order  # its own module too: a chapter may open with what it will have built
    above = {module_of(notebook(p)).split(".")[1] for p in above}
    source = "\n".join(directives(text(c))[1] for c in code_cells(notebook(path)))
    assert imported(source) & {p.stem for p in (ROOT / "ddsp_book").glob("*.py")} <= above


ORDER = ["page", "audio", "hybrid", "runtime", "fm", "spectral", "knobs", "envelope", "algorithms", "kernel", "fm6",
         "oscillators", "filters", "subtractive", "machine", "listening", "matching", "folders", "command", "morphing",
         "adaptive", "worlds", "preference", "features", "harmonic", "decoder", "recordings", "training",
         "transfer", "partials", "grower"]


def test_order_of_chapters(): assert [module_of(notebook(p)).split(".")[1] for p in chapters()] == ORDER


def test_every_module_is_a_chapter():
    exported = {module_of(notebook(p)) for p in NOTEBOOKS}
    assert {f"ddsp_book.{p.stem}" for p in (ROOT / "ddsp_book").glob("[!_]*.py")} <= exported


def test_every_recording_has_a_licence():
    folder = ROOT / "ddsp_book" / "data" / "audio"
    rows = {row["name"]: row for row in csv.DictReader(open(folder / "recordings.csv", encoding="utf-8"))}
    files = {p.stem for p in folder.glob("*.flac")}
    assert files and files == set(rows)
    assert all(row["licence"].strip() and row["attribution"].strip() and row["source"].strip() for row in rows.values())


def test_every_patch_says_where_it_comes_from():
    licences = {row["licence"] for row in csv.DictReader(open(ROOT / "ddsp_book/data/audio/recordings.csv", encoding="utf-8"))}
    folder = ROOT / "ddsp_book" / "data" / "patches"
    for path in [*folder.glob("*.json"), *folder.glob("gallery/*.json")]:
        origin = json.dumps(json.loads(path.read_text("utf-8"))["origin"])
        assert any(licence in origin for licence in licences), path.name


def test_version_is_one():
    import ddsp_book
    assert ddsp_book.__version__ == settings()["version"]


def test_licences_are_there():
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8") and "CC BY 4.0" in (ROOT / "LICENSE-TEXT").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE" in (ROOT / "nbs/_site/theme/static/fonts/OFL.txt").read_text("utf-8")


def test_constraints_hold_versions_only():
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^\s:/@]+( ; .+)?", line) and "://" not in line, line


def test_no_address_of_a_registry_or_a_machine():
    hosts = re.compile("|".join(("py" + r"pi\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", "deb\\." + r"debian\.org", r"(?<![\w.])/(?:work|farm|home)/[a-z]")))
    found = [(p.relative_to(ROOT).as_posix(), m[0]) for p in TEXTS for m in [hosts.search(p.read_text("utf-8", errors="ignore"))] if m]
    assert not found


def test_address_is_said_once():
    "Only settings.ini, and what is generated from it, names the repository."
    conf = settings()
    named = re.compile(re.escape(conf["git_url"]) + "|" + re.escape(conf["doc_host"]))
    assert not [p for p in TEXTS if p.name not in ("settings.ini", "_modidx.py") and named.search(p.read_text("utf-8", errors="ignore"))]
