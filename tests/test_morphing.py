"Ways between patches that only go forward, what is refused, and what a map is made of."
import copy, json, warnings
import numpy as np
import pytest
import torch
from ddsp_book.audio import DATA
from ddsp_book.fm import AliasingWarning
from ddsp_book.fm6 import FM6Op
from ddsp_book.listening import musical
from ddsp_book.morphing import Between, Road, lay_out, morph, patch_map, stable, timbre
from ddsp_book.subtractive import SubtractiveSynth

pytestmark = pytest.mark.filterwarnings("ignore::ddsp_book.fm.AliasingWarning")
torch.set_num_threads(1)
SYNTH = FM6Op(16000)
PANEL = SYNTH.panel
FOLDER = DATA / "patches" / "fm6"


def preset(name): return PANEL.load(FOLDER / f"{name}.json") | {"f0_hz": torch.tensor([220.0]), "note_s": torch.tensor([0.4])}

@torch.no_grad()
def distances(synth, patches, seconds):
    audio = synth(patches, round(seconds * synth.sample_rate))
    between = Between(audio[[0, -1]], synth.sample_rate)
    return between(audio), between.apart

def only_forward(synth, patches, seconds):
    heard, apart = distances(synth, patches, seconds)
    return bool((heard["to_a"].diff() > 0).all() and (heard["to_b"].diff() < 0).all())


# --- morph ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("a, b", [("electric_piano", "brass"), ("organ", "bell"), ("flute", "marimba")])
def test_a_morph_only_goes_forward_from_one_end_to_the_other(a, b, record_property):
    a, b = preset(a), preset(b)
    way = morph(SYNTH, a, b, steps=6, seconds=0.6, work=25)
    PANEL.validate(way)
    for name in way:
        assert len(way[name]) == 6
        assert torch.equal(way[name][:1], a[name]) and torch.equal(way[name][-1:], b[name]), name
    assert only_forward(SYNTH, way, 0.6)
    heard, apart = distances(SYNTH, way, 0.6)
    record_property("detour", ((heard["to_a"] + heard["to_b"]).max() / apart).item())
    assert ((heard["to_a"] + heard["to_b"]) / apart).max() < 1.35

def test_choices_and_ratios_are_those_of_one_end_and_change_once():
    a, b = preset("bass"), preset("organ")
    way = morph(SYNTH, a, b, steps=5, seconds=0.5, work=12)
    ends = [PANEL.to_unit(p)[0] for p in (a, b)]
    kept = [i for i, label in enumerate(PANEL.labels) if label.split()[0] in ("algorithm", "ratio", "fixed", "fixed_hz")]
    rows = PANEL.to_unit(way)[:, kept]
    side = [[bool((row - end[kept]).abs().max() < 1e-4) for end in ends] for row in rows]
    assert all(any(each) for each in side)

def test_the_straight_line_does_not_only_go_forward():
    "What the chapter begins with."
    a, b = preset("electric_piano"), preset("brass")
    line = PANEL.from_unit(torch.lerp(PANEL.to_unit(a), PANEL.to_unit(b), torch.linspace(0, 1, 8)[:, None]))
    assert not only_forward(SYNTH, line, 1.0)

def test_patches_as_their_files_hold_them_and_no_surprise_on_repeating():
    a, b = (json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in ("bass", "clavinet"))
    before = copy.deepcopy(a)
    one, two = (morph(SYNTH, a, b, steps=4, seconds=0.4, work=8) for _ in range(2))
    assert a == before and all(torch.equal(one[name], two[name]) for name in one)

def test_the_pitch_goes_straight():
    a, b = preset("flute"), preset("brass") | {"f0_hz": torch.tensor([311.0])}
    way = morph(SYNTH, a, b, steps=4, seconds=0.5, work=8)
    assert torch.allclose(way["f0_hz"].log().diff(), torch.tensor(1 / 3) * torch.tensor(311 / 220).log(), rtol=1e-3)
    assert only_forward(SYNTH, way | {"f0_hz": torch.full((4,), (220 * 311) ** 0.5)}, 0.5)

def test_double_stays_double():
    a, b = ({name: value.double() for name, value in preset(each).items()} for each in ("bass", "organ"))
    way = morph(SYNTH, a, b, steps=4, seconds=0.4, work=8)
    assert {value.dtype for value in way.values()} == {torch.float64} and only_forward(SYNTH, way, 0.4)

def test_another_synth():
    synth = SubtractiveSynth(16000)
    a = synth.panel.defaults() | {"cutoff_hz": torch.tensor([400.0]), "note_s": torch.tensor([0.4])}
    b = synth.panel.defaults() | {"saw": torch.tensor([0.0]), "pulse": torch.tensor([1.0]), "filter": torch.tensor([3.0]), "note_s": torch.tensor([0.4])}
    assert only_forward(synth, morph(synth, a, b, steps=4, seconds=0.5, work=10), 0.5)

def bad(name):
    a, fm6 = preset("flute"), json.loads((FOLDER / "bass.json").read_text("utf-8"))
    two = {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in a.items()}
    subtractive = SubtractiveSynth(16000).panel
    return {"NaN": a | {"feedback": torch.tensor([float("nan")])}, "two of them": two, "another synth": subtractive.defaults(),
            "another synth's file": subtractive.pack(subtractive.defaults(), "x"), "cut off": {key: a[key] for key in list(a)[:5]},
            "changed file": fm6 | {"values": fm6["values"] | {"feedback": 0.9}}, "silent": a | {"level": torch.zeros(1, 6)},
            "too loud": a | {"level": a["level"] + 3}}[name]

@pytest.mark.parametrize("name, words", [("NaN", "patch_b: feedback"), ("two of them", "patch_b: expected a batch of 1, got 2"), ("another synth", "patch_b: .*no such knob"),
                                         ("another synth's file", "patch_b: .*expected a patch for the synth 'fm6'"), ("cut off", "patch_b: .*missing"),
                                         ("changed file", "patch_b: .*sha256"), ("silent", "patch_b: it is silent"), ("too loud", "patch_b: level")])
def test_what_cannot_be_an_end(name, words):
    with pytest.raises(ValueError, match=words): morph(SYNTH, preset("bass"), bad(name))

def test_other_bad_input():
    a, b = preset("bass"), preset("flute")
    with pytest.raises(ValueError, match="steps: expected 3 or more, got 2"): morph(SYNTH, a, b, steps=2)
    with pytest.raises(ValueError, match="steps"): morph(SYNTH, a, b, steps=2.5)
    with pytest.raises(ValueError, match="work"): morph(SYNTH, a, b, work=0)
    with pytest.raises(ValueError, match="seconds"): morph(SYNTH, a, b, seconds=float("nan"))
    with pytest.raises(ValueError, match="seconds"): morph(SYNTH, a, b, seconds=0.01)
    with pytest.raises(ValueError, match="patch_b: it sounds as patch_a"): morph(SYNTH, a, a)
    with pytest.raises(ValueError, match="steps: found no 60"): morph(SYNTH, a, b, steps=60, seconds=0.2, work=1)

def test_the_chain_is_the_best_of_all():
    "Against trying out every chain, on a few points."
    from itertools import permutations
    from ddsp_book.morphing import _past, _traits
    road = Road(SYNTH, torch.cat([PANEL.to_unit(preset(name)) for name in ("bass", "flute")]), 0.3)
    machine = road.seek(4, 0.05).run(4, progress=False)
    vectors = torch.cat([road.ends[:1], machine.history("coefficients").flatten(0, 1), road.ends[1:]])
    heard = {key: torch.cat([at[:1], machine.history(key).flatten(), at[1:]]) for key, at in road.at_ends.items()}
    traits, apart, found = _traits(heard), road.between.apart, []
    for middle in permutations(range(1, len(vectors) - 1), 2):
        path, least = [0, *middle, len(vectors) - 1], 0.1 * apart / 3
        if (heard["to_a"][path].diff() <= least).any() or (heard["to_b"][path].diff() >= -least).any(): continue
        wander = (traits[path].diff(dim=0)).abs().sum()
        past = _past({key: value[path] for key, value in heard.items()}, torch.linspace(0, 1, 4), apart)[1:].sum()
        found.append((float(wander + past), path))
    chain = road.chain(machine, 4)
    if not found: assert chain is None
    else: assert torch.allclose(chain, vectors[min(found)[1]])


# --- the map -----------------------------------------------------------------------------------------------

def test_stable_says_what_is_wrong():
    synth = FM6Op(48000)
    panel = synth.panel
    p = panel.defaults(4)
    p["algorithm"][:] = 32  # six sines
    p["level"][1] = 0
    p["algorithm"][2], p["level"][2, 1], p["ratio"][2, 1], p["f0_hz"][2] = 1, 1.0, 32.0, 2000.0  # far above Nyquist: its modulator is cut
    p["algorithm"][3], p["level"][3, 1], p["ratio"][3, 1], p["f0_hz"][3] = 1, 1.0, 5.0, 4000.0
    found = stable(synth, p, 0.2)
    assert found["silent"].tolist() == [False, True, False, False]
    assert found["folds"].tolist()[3] and not found["folds"][0] and not found["clips"].any()

class Loud(torch.nn.Module):
    "A synth that clips, and one that breaks."
    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate, self.panel = sample_rate, PANEL
    def forward(self, patch, n):
        return torch.sin(torch.arange(n) * 2 * torch.pi * 440 / self.sample_rate) * torch.where(patch["feedback"] > 0.5, torch.nan, 1.5)[:, None]

def test_stable_refuses_clipping_and_nan():
    found = stable(Loud(8000), PANEL.defaults(2) | {"feedback": torch.tensor([0.0, 1.0])}, 0.1)
    assert found["clips"].tolist() == [True, True]

def test_timbre_does_not_hear_loudness():
    audio = SYNTH(musical(PANEL, 3, 220.0, torch.Generator().manual_seed(0)), 8000)
    one, quiet = timbre(audio, 16000), timbre(0.3 * audio, 16000)
    assert one.max() <= 0 and one.min() >= -60 and (one - quiet).abs().max() < 2

def test_near_on_the_map_is_near_in_truth():
    from sklearn.manifold import trustworthiness
    points = torch.randn(90, 12, generator=torch.Generator().manual_seed(0)) + 6 * torch.eye(12)[torch.arange(90) % 3]
    places, groups = lay_out(points, 3)
    assert places.min() == 0 and places.max() == 1 and trustworthiness(points.numpy(), places.numpy(), n_neighbors=5) > 0.8
    assert all(len(set(groups[k::3].tolist())) == 1 for k in range(3))
    with pytest.raises(ValueError, match="31 rows"): lay_out(points[:20])

def test_a_map_as_text_and_what_it_refuses():
    vectors, places = np.full((3, PANEL.size), 5000), [[0, 0], [0.5, 1], [1, 0]]
    shown = patch_map("fm6", vectors, places, ["<script>", "b", "c"], caption='"</script>')
    assert repr(shown) == 'Map: "</script>: 3 sounds' and "<script>\"" not in shown.html and shown.html.count("</script>") == 1
    for kwargs, words in [(dict(places=places[:2]), "places"), (dict(vectors=vectors + 6000), "vectors: expected values from 0 to 10000"),
                          (dict(places=[[0, 2]] * 3), "places: expected values from 0 to 1"), (dict(names=["a"]), "names: expected 3, got 1"),
                          (dict(groups=[1]), "groups"), (dict(vectors=vectors * np.nan), "vectors")]:
        with pytest.raises(ValueError, match=words): patch_map(**(dict(synth="fm6", vectors=vectors, places=places) | kwargs))

def test_the_map_of_the_chapter_is_what_its_script_makes():
    atlas = json.loads((DATA / "results" / "map_fm6.json").read_text("utf-8"))
    vectors = torch.tensor(atlas["vectors"]) / 10000
    assert vectors.shape[1] == PANEL.size and (DATA / "results" / "map_fm6.json").stat().st_size < 200_000
    found = stable(FM6Op(48000), PANEL.from_unit(vectors[::40]))
    assert not torch.stack(list(found.values())).any()


# --- at last, anything ---------------------------------------------------------------------------------------

def test_any_two_patches_are_connected():
    "All knobs anywhere, notes of other pitch, length and velocity too."
    patches = PANEL.random(6, torch.Generator().manual_seed(8))
    for i in range(0, 6, 2):
        a, b = ({name: value[k:k + 1] for name, value in patches.items()} for k in (i, i + 1))
        way = morph(SYNTH, a, b, steps=5, seconds=0.5, work=20)
        PANEL.validate(way)
        note = {name: way[name].mean(0, keepdim=True).expand_as(way[name]) for name in ("note_s", "velocity")}
        note["f0_hz"] = way["f0_hz"].log().mean().exp().expand(5)
        note["note_s"] = way["note_s"].log().mean().exp().expand(5)
        assert only_forward(SYNTH, way | note, 0.5)
