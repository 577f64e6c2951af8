"""LaTeX to MathML while the site is built: readers need no script for a formula, and it is text to search and to read aloud."""
import re
import xml.etree.ElementTree as ET

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

log = logging.getLogger(__name__)

# What latex2mathml reads differently from every other LaTeX, said in words that it knows.
REWRITES = [
    (r"\\(begin|end)\{(?:align|aligned|split|eqnarray\*?)\}", r"\\\1{align*}"),  # numbers are Sphinx's
    (r"\\(begin|end)\{(?:equation\*?|gathered|gather\*?)\}", r"\\\1{matrix}"),
    (r"\\(?:text)?color\{([^{}]*)\}\s*\{", r"{\\color{\1} "),           # colour one group, not all that follows
    (r"\\(?:big|Big|bigg|Bigg)[lr]?(?![a-zA-Z])", ""),
    (r"\\(?:notag|nonumber)(?![a-zA-Z])", ""),
    (r"\\(?:dfrac|tfrac)(?![a-zA-Z])", r"\\frac"),
    (r"\\operatorname\*?\{(arg)\s*(?:\\,|\s)\s*(min|max)\}", r"\\operatorname{arg\2}"),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"\\mathrm\{(\w)\}", r"\\text{\1}"),                                # else a lone letter turns italic
    (r"(?<!\\left)\\l(vert|Vert|floor|ceil)(?![a-zA-Z])", r"\\left\\l\1"), (r"(?<!\\right)\\r(vert|Vert|floor|ceil)(?![a-zA-Z])", r"\\right\\r\1"),
]
M = "{http://www.w3.org/1998/Math/MathML}"
ACCENTS = {"^": "\u02c6", "~": "\u02dc"}  # the accents, not the keys on a keyboard
FUNCTIONS = set("arccos arcsin arctan arg argmax argmin cos cosh cot deg det dim exp gcd ker lim ln log max min sin sinh sup inf sgn sinc tan tanh".split())
LIMITS = set("argmax argmin lim max min sup inf".split())  # what stands under them in a display
PRIMES = {"\u2032", "\u2033", "\u2034"}
SUMS = set("\u2211\u220f\u2210\u22c2\u22c3")
UNDER = {M + "msub": M + "munder", M + "msup": M + "mover", M + "msubsup": M + "munderover"}
ROWS = [M + tag for tag in ("math", "mrow", "mstyle", "mtd")]
SCRIPTS = [M + tag for tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover")]
STARTS = {"bold": ((0x1D400, 0x1D41A), 0x1D6C2), "bold-italic": ((0x1D468, 0x1D482), 0x1D736)}  # A, a, alpha


def mathvariant(text, variant):
    "Letters of a bold alphabet: browsers know `mathvariant=normal` only."
    (upper, lower), alpha = STARTS[variant]
    def letter(c):
        if "A" <= c <= "Z": return chr(ord(c) - ord("A") + upper)
        if "a" <= c <= "z": return chr(ord(c) - ord("a") + lower)
        if "\u03b1" <= c <= "\u03c9": return chr(ord(c) - 0x3B1 + alpha)
        return c
    return "".join(map(letter, text))


def core(el):
    "What a formula's piece is at heart: without groups of one, colours, sub- and superscripts."
    while len(el) and (el.tag in SCRIPTS or el.tag in ROWS and len(el) == 1): el = el[0]
    return el


def tidy(el, block):
    "Where browsers need help: accents, bold letters, words, what stands under max, thin spaces around sin and log."
    for child in el: tidy(child, block)
    word = (el.text or "").strip()
    if el.tag == M + "mo" and (word == "\u221e" or word.isalpha() and len(word) > 1 and word != "mod"): el.tag = M + "mi"
    if el.get("mathvariant") in STARTS: el.text = mathvariant(word, el.attrib.pop("mathvariant"))
    if el.tag == M + "mover" and el[1].text in ACCENTS: el[1].text = ACCENTS[el[1].text]
    if el.tag == M + "msub" and block and core(el).text in LIMITS: el.tag = M + "munder"
    if el.tag == M + "msup" and el[1].text in PRIMES:  # the glyph is a raised one: as an exponent it would fly off
        el.tag, el[1].tag = M + "mrow", M + "mo"
        el[1].attrib.update(lspace="0", rspace="0")
    if el.tag in UNDER and el[0].text in SUMS: el.tag = UNDER[el.tag]  # browsers put them beside it in running text
    if el.tag not in ROWS: return
    if len(el) > 1 and all(c.tag == M + "mi" and c.get("mathvariant") == "normal" for c in el):  # one upright word
        name = "".join(c.text for c in el)
        el[:] = [ET.Element(M + "mi")]
        el[0].text = name
    pieces = list(el)
    for left, right in zip(pieces, pieces[1:]):
        is_function = [core(c).tag == M + "mi" and core(c).text in FUNCTIONS for c in (left, right)]
        after = is_function[0] and right.tag not in (M + "mo", M + "mspace") and not (len(right) and right[0].get("form") == "prefix")
        before = is_function[1] and (left.tag not in (M + "mo", M + "mspace") or left.text in (")", "]"))
        if right.text in ("\u2212", "+", "\u00b1") and left.tag == M + "mo" and left.text not in (")", "]", "|", "\u2016"): right.set("form", "prefix")
        if after or before: el.insert(list(el).index(right), ET.Element(M + "mspace", width="0.1667em"))


def mathml(latex, block=False):
    "One formula as a `<math>` element. ValueError names a command that is not known."
    for old, new in REWRITES: latex = re.sub(old, new, latex)
    if r"\\" in latex and r"\begin" not in latex: latex = r"\begin{align*}" + latex + r"\end{align*}"
    tree = ET.fromstring(re.sub(r"&(?!#|\w+;)", "&amp;", convert(latex.strip(), display="block" if block else "inline")))
    unknown = sorted({el.text for el in tree.iter() if el.text and el.text.startswith("\\")})
    if unknown: raise ValueError("not understood: " + " ".join(unknown))
    tidy(tree, block)
    for table in tree.iter(M + "mtable"):
        if r"\begin{align*}" in latex: table.set("class", "align")
        if block: table.set("displaystyle", "true")
    tree.set("alttext", latex.strip())
    ET.register_namespace("", M[1:-1])
    return ET.tostring(tree, encoding="unicode")


def formula(self, node, block):
    try: return mathml(node.astext(), block)
    except Exception as e:  # the converter's many errors all mean: this formula does not print
        log.warning("formula %r: %s", node.astext(), e, location=node, type="maths")
        return f"<code>{self.encode(node.astext())}</code>"


def visit_inline(self, node):
    self.body.append(formula(self, node, False))
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math block"))
    self.body.append(formula(self, node, True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
