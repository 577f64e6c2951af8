"""Pages that the package writes about itself: the API reference and the list of recordings."""
import html, inspect, json, re, shutil
from pathlib import Path

from fastcore.docments import docments

from glue_notebooks import PACKAGE, module_of

MARK = "<!-- generated here -->"


def to_rst(text):
    "Docstrings are Markdown, as everywhere in the book; autodoc reads reStructuredText."
    text = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", text)
    text = re.sub(r"\[([^\]]+)\]\((https?://[^)]+)\)", r"`\1 <\2>`__", text)
    text = re.sub(r"\$([^$\n]+)\$", r":math:`\1`", text)
    return re.sub(r"(``.*?``|:math:`.*?`)|\|", lambda m: m[1] or r"\|", text)  # a bare | would begin a substitution


def describe(app, what, name, obj, options, lines):
    "The comment behind each parameter (nbdev's docments) becomes that parameter's description."
    lines[:] = [to_rst(line) for line in lines]
    if what not in ("function", "method", "class"): return
    try: comments = docments(obj, full=True, returns=True)
    except (TypeError, ValueError, OSError, SyntaxError): return  # no source to read, as for a builtin
    fields = []
    for key, doc in comments.items():
        if not getattr(doc, "docment", None): continue
        said = to_rst(" ".join(doc.docment.split()))
        fields.append(f":returns: {said}" if key == "return" else f":param {key}: {said}")
    if "return" not in comments and (said := returned(obj)): fields.append(f":returns: {to_rst(said)}")
    if fields: lines.extend(["", *fields, ""])


def skip(app, what, name, obj, skipped, options):
    "Constants are listed where their value says something: numbers, names, not paths of the machine that builds."
    if what == "module" and not callable(obj) and not isinstance(obj, (int, float, str, tuple)): return True


def returned(obj):
    "The comment behind the closing `):` of a signature without annotation, which docments passes over."
    match = re.search(r"^\s*\)\s*:[ \t]*#[ \t]*(.+)$", inspect.getsource(obj), re.M)
    return match and not inspect.isclass(obj) and match[1]


def chapters(app):
    "(docname, module) of every chapter that exports one, in reading order."
    for doc in app.config.external_site_map:
        path = Path(app.srcdir, doc + ".ipynb")
        module = path.is_file() and module_of(json.loads(path.read_text("utf-8")))
        if module and (PACKAGE / (module.split(".")[1] + ".py")).is_file(): yield doc, module


def api(app):
    sections = []
    for doc, module in chapters(app):
        sections.append(f"""## `{module}`

Written in the chapter {{doc}}`/{doc}`.

```{{eval-rst}}
.. automodule:: {module}
   :members:
   :undoc-members:
   :member-order: bysource
```
""")
    return "\n".join(sections)


LICENCES = {"CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/", "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
            "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/"}


def recordings(app):
    "Every recording, to play, with whom to thank. The files are copied beside the page and load when played."
    from ddsp_book.audio import examples
    entries = []
    for row in examples():
        said = {key: html.escape(value) for key, value in row.items()}
        licence = said["licence"].replace("-", " ", 1) if row["licence"].startswith("CC-BY") else said["licence"]
        if row["licence"] in LICENCES: licence = f'<a href="{LICENCES[row["licence"]]}">{licence}</a>'
        what = ", ".join(filter(None, [said["instrument"].replace("_", " "), said["note"], f"{float(row['duration_s']):.1f} s"]))
        entries.append(f"""<li id="{said['name']}"><p><b><code>{said['name']}</code></b> {what}. {licence}.</p>
<audio controls preload="none" src="../_static/recordings/{said['name']}.flac" aria-label="{what}"></audio>
<p class="credit">{said['attribution']}. Source: {said['source']}. Changes: {said['changes']}.</p></li>""")
    return '<ul class="recordings">\n' + "\n".join(entries) + "\n</ul>"


def copy_recordings(app, error):
    if error is None and app.builder.format == "html":
        there = Path(app.outdir, "_static", "recordings")
        there.mkdir(parents=True, exist_ok=True)
        for path in (PACKAGE / "data" / "audio").glob("*.flac"): shutil.copy2(path, there)


def on_source(app, docname, source):
    for page, write in {"nbs/api": api, "nbs/recordings": recordings}.items():
        if docname == page: source[0] = source[0].replace(MARK, write(app))


def outdated(app, env, added, changed, removed):
    "The pages made here follow the package, whatever their own files say; they cost under a second."
    return [doc for doc in ("nbs/api", "nbs/recordings") if doc in env.found_docs]


def setup(app):
    app.connect("source-read", on_source)
    app.connect("env-get-outdated", outdated)
    app.connect("autodoc-process-docstring", describe)
    app.connect("autodoc-skip-member", skip)
    app.connect("build-finished", copy_recordings)
