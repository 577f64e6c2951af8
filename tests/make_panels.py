"Writes ddsp_book/static/61_panels.js: the page's knobs are those of the Python panels."
import json
from pathlib import Path
from ddsp_book.fm6 import FM6Op
from ddsp_book.subtractive import SubtractiveSynth

FILE = Path(__file__).parents[1] / "ddsp_book" / "static" / "61_panels.js"

def panels(): return FM6Op().panel, SubtractiveSynth().panel

def script(*panels):
    "The panels as JavaScript, one knob per line."
    lines = []
    for panel in panels:
        said = json.loads(panel.to_json())
        knobs = ",\n".join("    " + json.dumps(knob, ensure_ascii=False) for knob in said["knobs"])
        lines.append(f"  {said['synth']}: {{ knobs: [\n{knobs},\n  ] }},\n")
    return "// Written by tests/make_panels.py: knobs as Python describes them.\n\nconst PANELS = {\n" + "".join(lines) + "};\n"

if __name__ == "__main__": FILE.write_text(script(*panels()), "utf-8")
