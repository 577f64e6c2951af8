"""Notebooks on their way to the page: nbdev's directives, what re-executes a chapter, where exported code lives."""
import ast, hashlib, html, json, re
from functools import lru_cache
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ddsp_book"
DIRECTIVE = re.compile(r"\s*#\s*\|\s*(\w+)\s*:?\s*(.*?)\s*$")


def directives(source):
    "Split a cell into its leading `#| name value` lines, as a dict, and the rest."
    found, lines = {}, source.splitlines(keepends=True)
    while lines and (m := DIRECTIVE.match(lines[0])):
        found[m[1]] = m[2]
        lines.pop(0)
    return found, "".join(lines).lstrip("\n")


def code_cells(nb): return [c for c in nb["cells"] if c["cell_type"] == "code"]
def text(cell): return "".join(cell["source"])


def module_of(nb):
    "The module that a notebook writes: `ddsp_book.audio`, or None."
    names = [found["default_exp"] for found, _ in map(directives, map(text, code_cells(nb))) if "default_exp" in found]
    return f"{PACKAGE.name}.{names[0]}" if names else None


# What a chapter depends on ----------------------------------------------------------------------

def imported(source):
    "Names of this book's modules that a piece of Python imports, wherever it does."
    try: tree = ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", source))
    except SyntaxError: return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): names |= {a.name for a in node.names}
        if isinstance(node, ast.ImportFrom):
            base = PACKAGE.name + ("." + node.module if node.module else "") if node.level else node.module
            names |= {base, *(f"{base}.{a.name}" for a in node.names)}
    return {n.split(".")[1] for n in names if n.startswith(PACKAGE.name + ".")}


def closure(source):
    "Module files that a piece of Python reaches through its imports."
    reached, todo = set(), imported(source)
    while todo:
        path = PACKAGE / f"{todo.pop()}.py"
        if path.is_file() and path not in reached:
            reached.add(path)
            todo |= imported(path.read_text("utf-8"))
    return reached


@lru_cache
def _digest(path, mtime_ns): return hashlib.sha256(path.read_bytes()).hexdigest()
def digest(path): return _digest(path, path.stat().st_mtime_ns)


def dependencies(nb):
    "One hash over all that decides a notebook's outputs besides its own code: modules, recordings, widgets."
    files = closure("\n".join(directives(text(c))[1] for c in code_cells(nb)))
    if files: files |= {p for d in ("data", "static") for p in (PACKAGE / d).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    files |= {ROOT / "constraints.txt"}
    return hashlib.sha256("".join(f"{p.relative_to(ROOT).as_posix()} {digest(p)}\n" for p in sorted(files)).encode()).hexdigest()


# From notebook to page --------------------------------------------------------------------------

def rewrite(nb):
    "A copy of `nb` as the site wants it: directives become tags, and the cache key covers the dependencies."
    nb, module = json.loads(json.dumps(nb)), module_of(nb)
    for cell in code_cells(nb):
        found, body = directives(text(cell))
        meta = cell["metadata"]
        tags = meta.setdefault("tags", [])
        cell["source"] = body
        if found.keys() & {"hide", "default_exp"}: tags.append("remove-cell")  # executed, as nbdev does, but not shown
        if found.get("eval") == "false": tags.append("skip-execution")
        if found.get("echo") == "false": tags.append("remove-input")
        if "solution" in found:
            tags.append("hide-cell")
            meta["mystnb"] = {"code_prompt_show": "Solution", "code_prompt_hide": "Solution"}
        if found.keys() & {"export", "exporti"} and module:
            tags.append("export")
            meta["ddsp_exports"] = [module, first_public(body) if "export" in found else ""]  # exporti: methods, which the reference lists with their class
    # jupyter-cache keys on the code and the kernelspec only, so the hash of everything else rides there.
    nb["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python", "depends_on": dependencies(nb)}
    return nb


def first_public(source):
    "The first function or class that a cell defines, if it is public: the anchor on the module's source page."
    defs = (n for n in ast.parse(source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
    return next((n.name for n in defs if not n.name.startswith("_")), "")


def is_notebook(env, docname): return str(env.doc2path(docname)).endswith(".ipynb")


def on_source(app, docname, source):
    if is_notebook(app.env, docname):
        nb = rewrite(json.loads(source[0]))
        keys(app.env)[docname] = nb["metadata"]["kernelspec"]["depends_on"]
        source[0] = json.dumps(nb)


def keys(env):
    if not hasattr(env, "ddsp_keys"): env.ddsp_keys = {}
    return env.ddsp_keys


def outdated(app, env, added, changed, removed):
    "Chapters to read again although their own file did not change."
    def now(doc): return dependencies(json.loads(Path(env.doc2path(doc)).read_text("utf-8")))
    return [doc for doc in env.found_docs - added - changed if is_notebook(env, doc) and keys(env).get(doc) != now(doc)]


def label_exports(app, doctree, docname):
    "Over each exported cell: the module it becomes part of, linked to that place in the module's source."
    for cell in doctree.findall(nodes.container):
        module, name = (cell.get("cell_metadata") or {}).get("ddsp_exports", (None, None))
        if module and app.builder.format == "html":
            url = app.builder.get_relative_uri(docname, "_modules/" + module.replace(".", "/")) + (f"#{name}" if name else "")
            label = f"{module}.{name}" if name else module
            cell.insert(0, nodes.raw("", f'<span class="exported"><a href="{html.escape(url)}" title="This cell is part of the package">{label}</a></span>', format="html"))


class Margin(Directive):
    "A note beside the text: ```{margin} optional title."
    optional_arguments, final_argument_whitespace, has_content = 1, True, True

    def run(self):
        self.assert_has_content()
        note = nodes.container(classes=["margin"])
        if self.arguments: note += nodes.paragraph("", self.arguments[0], classes=["topic-title"])
        self.state.nested_parse(self.content, self.content_offset, note)
        return [note]


def setup(app):
    app.add_directive("margin", Margin)
    app.connect("source-read", on_source)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-resolved", label_exports)
