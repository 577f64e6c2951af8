"""What the site adds to Jupyter Book: the theme, the settings, the widgets' script. Loaded through `_config.yml`."""
import configparser, hashlib, re
from pathlib import Path

import glue_maths, glue_notebooks, glue_reference

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
WIDGETS = ROOT / "ddsp_book" / "static"


def settings(path=ROOT / "settings.ini"):
    "The public address and the book's names: `settings.ini` is their only home."
    ini = configparser.ConfigParser()
    ini.read(path, encoding="utf-8")
    return ini["DEFAULT"]


def is_public(conf):
    "False while `settings.ini` still holds the placeholder: then links to the repository would lead nowhere."
    return conf["user"] != "OWNER"


def run_links(conf, notebook):
    "Where else a chapter runs: (name, address) pairs. Plain links; the page requests nothing."
    if not is_public(conf): return []
    where = f"{conf['user']}/{conf['repo']}"
    return [
        ("Colab", f"https://colab.research.google.com/github/{where}/blob/{conf['branch']}/{notebook}"),
        ("Binder", f"https://mybinder.org/v2/gh/{where}/{conf['branch']}?urlpath=lab/tree/{notebook}"),
        ("GitHub", f"{conf['git_url']}/blob/{conf['branch']}/{notebook}"),
    ]


def widgets_script():
    "All of ddsp_book/static as one classic script: modules do not load when a page is opened from disk."
    from ddsp_book.page import page_script
    return '(() => {\n"use strict";\n' + page_script() + "\n})();\n"


def configure(app, config):
    conf = settings()
    config.project = config.html_title = conf["title"]
    config.author, config.copyright = conf["author"], conf["copyright"]
    config.version = config.release = conf["version"]
    config.html_baseurl = f"{conf['doc_host']}{conf['doc_baseurl']}/" if is_public(conf) else ""
    config.html_theme_options = {}  # Jupyter Book's are for another theme
    assets = [*sorted((SITE / "theme").rglob("*.*")), *sorted(WIDGETS.glob("*.*"))]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in assets if p.is_file())).hexdigest()[:10]
    book = {k: conf[k] for k in ("title", "description", "version")}
    book["source_url"] = conf["git_url"] if is_public(conf) else ""
    config.html_context = {"book": book, "assets_digest": digest}


def contents(context):
    "The book's contents, with the sections of the page at hand below its entry."
    chapters = context["toctree"](collapse=True, maxdepth=1, titles_only=True, includehidden=True)
    sections = re.search(r"<ul>.*?(<ul>.*</ul>)\s*</li>\s*</ul>", context.get("toc") or "", re.S)
    if not sections: return chapters
    return re.sub(r'(<li class="toctree-l1 current">.*?</a>)', lambda m: m[1] + sections[1], chapters, count=1, flags=re.S)


def page_context(app, pagename, templatename, context, doctree):
    context["contents"] = contents(context)
    site_map = app.config.external_site_map
    parts = {app.config.root_doc: ""} | {doc: tree.caption or "" for item in site_map.values() for tree in item.subtrees for doc in tree.items}
    if pagename in parts:
        source = Path(app.env.doc2path(pagename)).relative_to(app.srcdir).as_posix()
        notebook = source if source.endswith(".ipynb") else None
        context["book_page"] = {"part": parts[pagename], "notebook": notebook, "links": notebook and run_links(settings(), notebook)}


def write_widgets(app, error):
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "ddsp.js").write_text(widgets_script(), "utf-8")


def setup(app):
    app.add_html_theme("ddsp", str(SITE / "theme"))
    for part in (glue_maths, glue_notebooks, glue_reference): part.setup(app)
    app.add_config_value("comments_config", {}, "")  # Jupyter Book sets it for an extension that we do not load
    app.connect("config-inited", configure)
    app.connect("html-page-context", page_context)
    app.connect("build-finished", write_widgets)
    return {"parallel_read_safe": True}
