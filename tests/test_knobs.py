"Knob and Panel: curves against closed forms, round trips, gradients, files, and what is refused."
import json, os
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from ddsp_book.hybrid import example_patch
from ddsp_book.knobs import CURVES, Knob, Panel, UnitCube
from ddsp_book.page import instrument

quick = settings(max_examples=100, deadline=None)
f64 = torch.float64

def panel():
    return Panel("toy", [
        Knob("cutoff_hz", 20, 20000, 1000, "Hz", "log"),
        Knob("pan", -1, 1, 0),
        Knob("level", 0, 1, (1.0, 0.5, 0.25), curve="db", size=3, about="per operator"),
        Knob("algorithm", 1, 32, 5, curve="integer"),
        Knob("wave", 0, 2, 1, curve="choice", choices=("saw", "square", "triangle")),
    ])

@st.composite
def knobs(draw):
    curve = draw(st.sampled_from(CURVES))
    if curve in ("integer", "choice"):
        low = draw(st.integers(-20, 20))
        return Knob("x", low, low + draw(st.integers(1, 60)), low, curve=curve)
    low = draw(st.floats(1e-4, 10) if curve == "log" else st.floats(-100, 100))
    high = low * draw(st.floats(1.5, 1e5)) if curve == "log" else low + draw(st.floats(0.01, 1e4))
    return Knob("x", low, high, low, curve=curve)

# --- curves ----------------------------------------------------------------------------------------------

@quick
@given(knobs(), st.floats(0, 1), st.sampled_from([torch.float32, f64]))
def test_round_trip_from_any_position(knob, u, dtype):
    value = knob.turn(torch.tensor(u, dtype=dtype))
    again = knob.turn(knob.position(value))
    travel = abs(knob.position(again) - knob.position(value))
    assert travel <= 1e-6
    if knob.curve in ("integer", "choice"): assert again == value and value % 1 == 0
    elif knob.curve != "linear" or knob.low >= 0: assert abs(again - value) <= 2e-6 * max(abs(value), abs(knob.high) * 1e-3)

@quick
@given(knobs())
def test_ends_are_exact_and_nothing_lies_beyond(knob):
    for dtype in (torch.float32, f64):
        y = knob.turn(torch.linspace(0, 1, 999, dtype=dtype))
        low, high = torch.tensor([knob.low, knob.high], dtype=dtype)
        assert y[0] == low and torch.isclose(y[-1], high, rtol=1e-6, atol=0) and (y >= low).all() and (y <= high).all()
        assert (y.diff() >= 0).all(), "never downwards"

def test_closed_forms():
    u = torch.linspace(0, 1, 33, dtype=f64)
    log, linear, fader = (Knob("x", low, 50.0, 10, curve=c).turn(u).numpy() for c, low in (("log", 0.5), ("linear", -3), ("db", 0)))
    assert np.allclose(log, np.geomspace(0.5, 50, 33)) and np.allclose(linear, np.linspace(-3, 50, 33))
    assert np.allclose(fader, 50 * (1000**u.numpy() - 1) / 999)
    db = 20 * np.log10(fader[17:] / 50)
    assert np.allclose(np.diff(db), 60 / 32, atol=0.06), "in its upper half a fader is even in decibels"

@pytest.mark.parametrize("curve", ["integer", "choice"])
def test_stairs_are_equally_wide(curve):
    knob = Knob("x", 1, 32, 1, curve=curve)
    values = knob.turn((torch.arange(32000, dtype=f64) + 0.5) / 32000)
    assert torch.equal(values.unique(return_counts=True)[1], torch.full((32,), 1000))
    assert torch.equal(knob.turn(knob.position(torch.arange(1.0, 33))), torch.arange(1.0, 33))

# --- gradients --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("curve, low", [("linear", -2.0), ("log", 0.01), ("db", 0.0)])
def test_gradcheck(curve, low):
    knob = Knob("x", low, 30, 1, curve=curve)
    u = torch.tensor([0.1, 0.5, 0.93], dtype=f64, requires_grad=True)
    assert torch.autograd.gradcheck(knob.turn, u) and torch.autograd.gradgradcheck(knob.turn, u)
    value = knob.turn(u.detach()).requires_grad_()
    assert torch.autograd.gradcheck(knob.position, value)

def test_steps_pass_a_ramp_and_choices_nothing():
    u = torch.tensor([0.0, 0.3, 1.0], requires_grad=True)
    for curve, slope in (("integer", 32), ("choice", 0)):
        gradient, = torch.autograd.grad(Knob("x", 1, 32, 1, curve=curve).turn(u).sum(), u)
        assert torch.equal(gradient, torch.full((3,), float(slope)))

@pytest.mark.parametrize("curve", CURVES[:4])
def test_a_knob_at_its_end_still_feels_the_pull(curve):
    u = torch.tensor([0.0, 1.0], requires_grad=True)
    gradient, = torch.autograd.grad(Knob("x", 1, 33, 1, curve=curve).turn(u).sum(), u)
    assert (gradient > 0).all()

def test_panel_is_differentiable_both_ways():
    p = panel()
    u = torch.rand(2, p.size, dtype=f64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    def smooth(u):
        patch = p.from_unit(u)
        return tuple(patch[key] for key in ("cutoff_hz", "pan", "level"))
    assert torch.autograd.gradcheck(smooth, u)
    assert p.to_unit(p.from_unit(u)).sum().backward() is None and u.grad.isfinite().all()

# --- panels --------------------------------------------------------------------------------------------------

def test_labels_shapes_defaults():
    p = panel()
    assert p.labels == ["cutoff_hz", "pan", "level 1", "level 2", "level 3", "algorithm", "wave"] and p.size == 7
    patch = p.defaults(4, dtype=f64)
    assert patch["cutoff_hz"].shape == (4,) and patch["level"].shape == (4, 3) and patch["level"].dtype == f64
    assert patch["level"][2].tolist() == [1.0, 0.5, 0.25] and p.validate(patch).keys() == p.knobs.keys()
    patch["pan"][0] = 1
    assert p.defaults(4)["pan"][0] == 0, "a fresh copy each time"

@quick
@given(st.integers(0, 10**6))
def test_panel_round_trip(seed):
    p = panel()
    patch = p.random(5, torch.Generator().manual_seed(seed))
    u = p.to_unit(patch)
    again = p.from_unit(u)
    assert u.shape == (5, 7) and u.min() >= 0 and u.max() <= 1
    assert (p.to_unit(again) - u).abs().max() <= 1e-6
    assert all(torch.allclose(patch[key], again[key], rtol=2e-6, atol=1e-7) for key in patch)

def test_random_is_fair_and_repeatable():
    p = panel()
    patch = p.random(20000, torch.Generator().manual_seed(1))
    assert all((patch[key] == value).all() for key, value in p.random(20000, torch.Generator().manual_seed(1)).items())
    counts = patch["algorithm"].unique(return_counts=True)[1]
    assert len(counts) == 32 and counts.min() > 500 and counts.max() < 760
    assert patch["cutoff_hz"].median() == pytest.approx(np.sqrt(20 * 20000), rel=0.1)

def test_clamp():
    p = panel()
    wild = {**p.defaults(2), "pan": torch.tensor([-5.0, 0.5]), "algorithm": torch.tensor([99.0, 2.6]), "cutoff_hz": torch.tensor([1.0, 1e9])}
    patch = p.validate(p.clamp(wild))
    assert patch["pan"].tolist() == [-1, 0.5] and patch["algorithm"].tolist() == [32, 3] and patch["cutoff_hz"].tolist() == [20, 20000]

@pytest.mark.parametrize("change, match", [
    ({"cutoff_hz": [2.0]}, "cutoff_hz: expected 20…20000 Hz, got 2"),
    ({"cutoff_hz": [float("nan")]}, "cutoff_hz: 1 of 1 values are NaN"),
    ({"cutoff_hz": 500.0}, r"cutoff_hz: expected \(batch,\), got \(\)"),
    ({"level": [[0.1, 0.2]]}, r"level: expected \(batch, 3\), got \(1, 2\)"),
    ({"level": [[0.1, 0.2, 1.5]]}, "level: expected 0…1, got 1.5"),
    ({"pan": [0.0, 0.0]}, "pan: expected a batch of 1 as in cutoff_hz, got 2"),
    ({"algorithm": [0.0]}, "algorithm: expected 1…32, got 0"),
    ({"algorithm": [33.0]}, "algorithm: expected 1…32, got 33"),
    ({"algorithm": [1.5]}, "algorithm: expected a whole number, got 1.5"),
    ({"wave": [True]}, "wave: expected real numbers"),
    ({"volume": [1.0]}, "volume: there is no such knob"),
])
def test_validate_names_the_knob(change, match):
    with pytest.raises((ValueError, TypeError), match=match): panel().validate({**panel().defaults(), **change})

def test_validate_names_the_missing_knob():
    patch = panel().defaults()
    del patch["wave"]
    with pytest.raises(ValueError, match="wave: missing"): panel().validate(patch)

@pytest.mark.parametrize("vector, match", [
    (torch.full((1, 6), 0.5), r"vector: expected \(batch, 7\)"), (torch.full((7,), 0.5), r"vector: expected \(batch, 7\)"),
    (torch.full((1, 7), float("inf")), "vector: 7 of 7 values are NaN"),
    (torch.tensor([[0.5, 0.5, 0.5, -0.01, 0.5, 0.5, 0.5]]), "vector: level 2: expected 0…1, got -0.01"),
])
def test_from_unit_refuses(vector, match):
    with pytest.raises(ValueError, match=match): panel().from_unit(vector)

@pytest.mark.parametrize("change, match", [
    (dict(low=2), "expected low < high"), (dict(high=float("nan")), "expected low < high"), (dict(curve="exp"), "curve"),
    (dict(low=0, curve="log"), "log knob"), (dict(default=3), "default"), (dict(size=2, default=(1, 1, 1)), "default"),
    (dict(size=0), "size"), (dict(name="cut off"), "name"), (dict(high=1.5, curve="integer"), "whole limits"),
    (dict(curve="choice", high=2, default=1, choices=("a", "b", "c", "d")), "choices"),
])
def test_a_bad_knob_is_refused(change, match):
    with pytest.raises(ValueError, match=match): Knob(**{"name": "x", "low": 1, "high": 2, "default": 1, **change})

def test_two_knobs_of_one_name():
    with pytest.raises(ValueError, match="two of the name 'x'"): Panel("toy", [Knob("x", 0, 1, 0), Knob("x", 0, 2, 0)])

# --- files and the page ----------------------------------------------------------------------------------------

@quick
@given(st.integers(0, 10**6))
def test_a_file_keeps_every_bit(tmp_path_factory, seed):
    p, path = panel(), tmp_path_factory.mktemp("patches") / "p.json"
    for dtype in (torch.float32, f64):
        patch = p.random(1, torch.Generator().manual_seed(seed), dtype=dtype)
        p.save(path, patch, "n", "o")
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try: again = p.load(path)
        finally: torch.set_default_dtype(default)
        assert all(torch.equal(patch[key], again[key]) for key in patch)

def test_a_file_reads_well(tmp_path):
    p = panel()
    p.save(tmp_path / "p.json", {**p.defaults(), "pan": torch.tensor([0.9])}, "Süß", "me, CC0")
    text = (tmp_path / "p.json").read_text("utf-8")
    data = json.loads(text)
    assert '"pan": 0.9' in text and '"algorithm": 5,' in text and "Süß" in text
    assert data["format"] == "ddsp_book.patch" and data["version"] == 1 and data["synth"] == "toy" and data["units"]["cutoff_hz"] == "Hz"
    assert p.unpack(data)["level"].tolist() == [[1.0, 0.5, 0.25]]
    assert "ddsp-toy" in instrument(data, "A toy").html
    data["values"]["pan"] = 0.8
    del data["sha256"]
    assert p.unpack(data)["pan"].item() == pytest.approx(0.8), "without a checksum one may edit"

def altered(**changes): return lambda data: data.update(changes)
def value(key, new): return lambda data: data["values"].update({key: new})

@pytest.mark.parametrize("change, match", [
    (altered(format="x"), "not a patch of this book"), (altered(version=2), "expected version 1, got 2"),
    (altered(synth="fm6"), "expected a patch for the synth 'toy', got 'fm6'"), (altered(values=[1]), "values: expected names"),
    (altered(units={"cutoff_hz": "kHz"}), "cutoff_hz: expected its unit 'Hz', got 'kHz'"), (altered(units=3), "units"),
    (value("pan", 0.1), "sha256"), (value("pan", float("nan")), "pan: 1 of 1"), (value("pan", "left"), "pan"), (value("pan", None), "pan"),
    (value("pan", [0.1]), "pan: expected"), (value("level", 0.5), "level: expected"), (value("level", [0.1, [0.2], 3]), "level"),
    (value("volume", 1), "volume: there is no such knob"), (lambda data: data["values"].pop("pan"), "pan: missing"),
    (value("algorithm", 33), "algorithm: expected 1…32, got 33"), (value("pan", True), "pan"),
])
def test_a_bad_file_is_refused(tmp_path, change, match):
    data = panel().pack(panel().defaults(), "n")
    change(data)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=match) as caught: panel().load(path)
    assert "bad.json" in str(caught.value)

def test_a_file_that_is_no_patch(tmp_path):
    for text in (b"", b"{", b"[" * 100000, b"\xff\xfe", b"[]", b"3", b"null"):
        (tmp_path / "x.json").write_bytes(text)
        with pytest.raises(ValueError, match="x.json"): panel().load(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError): panel().load(tmp_path / "none.json")
    with pytest.raises(ValueError, match="'hybrid'"): panel().unpack(example_patch("violin_A4"))

def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    p, path = panel(), tmp_path / "p.json"
    p.save(path, p.defaults(), "old")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError): p.save(path, p.defaults(), "new")
    assert json.loads(path.read_text())["name"] == "old" and len(list(tmp_path.iterdir())) == 1

def test_a_file_holds_one_sound():
    with pytest.raises(ValueError, match="batch of 1"): panel().pack(panel().defaults(2), "n")

def test_the_page_gets_everything():
    data = json.loads(panel().to_json())
    assert data["synth"] == "toy"
    knob = dict(name="level", low=0, high=1, default=[1.0, 0.5, 0.25], unit="", curve="db", size=3, about="per operator", choices=[])
    assert data["knobs"][2] == knob and data["knobs"][4]["choices"] == ["saw", "square", "triangle"]
    assert [Knob(**k).name for k in data["knobs"]] == list(panel().knobs), "and it can be read back"
