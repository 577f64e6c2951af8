"""Bring notebooks and modules into line (`make sync`): what is committed is source, short text outputs, and what follows from them.

    python nbs/_site/sync.py            # write
    python nbs/_site/sync.py --check    # say what would change, and fail if anything would
"""
import filecmp, hashlib, json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

from glue_notebooks import directives

ROOT = Path(__file__).resolve().parents[2]


def short(outputs):
    "What nbval compares: printed text, joined, and each result's plain text. Pictures and sounds are made when the book is built."
    printed = "".join("".join(o["text"]) for o in outputs if o["output_type"] == "stream" and o["name"] == "stdout")
    kept = [{"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}] if printed else []
    for o in outputs:
        if "text/plain" in o.get("data", {}) and not any("widget" in kind for kind in o["data"]):  # a progress bar is no result
            result = {"data": {"text/plain": o["data"]["text/plain"]}, "metadata": {}, "output_type": o["output_type"]}
            kept.append({**result, "execution_count": None} if o["output_type"] == "execute_result" else result)
    return kept


def fill_exercises(cells):
    "An exercise is its solution without the answer, so only the solution is written by hand."
    from ddsp_book.page import stub
    exercise = None
    for cell in cells:
        source = "".join(cell["source"])
        found, body = directives(source)
        if "exercise" in found: exercise = cell
        if "solution" in found and exercise:
            exercise["source"] = stub(body).splitlines(keepends=True)
            exercise = None


def tidy(path):
    from nbdev.clean import clean_nb
    from nbdev.config import get_config
    conf = get_config()
    nb = json.loads(path.read_text("utf-8"))
    cells = [c for c in nb["cells"] if "".join(c["source"]).strip()]
    for i, cell in enumerate(cells):
        if isinstance(cell["source"], str): cell["source"] = cell["source"].splitlines(keepends=True)
        cell.setdefault("id", hashlib.sha256(f"{i} {cell['source']}".encode()).hexdigest()[:8])  # nbdev would draw one at random
        if cell["cell_type"] == "code": cell.update(outputs=short(cell["outputs"]), execution_count=None)
    fill_exercises([c for c in cells if c["cell_type"] == "code"])
    nb["cells"] = cells
    nb["metadata"].pop("widgets", None)
    nb["metadata"]["kernelspec"] = {"display_name": "python3", "language": "python", "name": "python3"}
    clean_nb(nb, conf.clear_all, conf.allowed_metadata_keys.split(), conf.allowed_cell_metadata_keys.split(), conf.clean_ids)
    path.write_text(json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + "\n", "utf-8")


def sync():
    os.chdir(ROOT)  # nbdev looks for settings.ini from here
    from nbdev.doclinks import nbdev_export
    for path in sorted(Path("nbs").glob("*.ipynb")): tidy(path)
    nbdev_export.__wrapped__()


def check():
    "Run `sync` on a copy and compare: nothing in the tree is touched."
    files = [p.relative_to(ROOT) for pattern in ("nbs/*.ipynb", "ddsp_book/*.py", "nbs/_site/*.py", "settings.ini", "pyproject.toml") for p in ROOT.glob(pattern)]
    with tempfile.TemporaryDirectory() as there:
        for f in files:
            Path(there, f).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / f, Path(there, f))
        subprocess.run([sys.executable, Path(there, "nbs/_site/sync.py")], check=True)
        made = [p.relative_to(there) for pattern in ("nbs/*.ipynb", "ddsp_book/*.py") for p in Path(there).glob(pattern)]
        differ = [f for f in made if not (ROOT / f).exists() or not filecmp.cmp(ROOT / f, Path(there, f), shallow=False)]
    if differ: sys.exit("Not in line: " + ", ".join(map(str, sorted(differ))) + "\nRun `make sync` and look at what it changes.")
    print("Notebooks and modules agree.")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else sync()
