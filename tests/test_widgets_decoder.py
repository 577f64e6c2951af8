"The learned instruments in a real browser: their sound beside PyTorch's, and all that a reader may do with them."
import json, time
import numpy as np
import pytest
import torch
from ddsp_book.decoder import DDSPDecoder, instrument_model
from ddsp_book.page import instrument
from ddsp_book.transfer import playable
from widget_page import NEEDS_BROWSER, PACKED, browser, served, unpacked, visit, watched

pytestmark = NEEDS_BROWSER
FS = 16000
E = "document.getElementById('four')"

def any_model(seed=0, **settings):
    "A small model of no instrument, its weights as rounded as those that go to the page."
    torch.manual_seed(seed)
    settings = {"hidden": 24, "layers": 2, "n_harmonics": 20, "bands": 17, "hop": 96, "reverb_s": 0.1, "instruments": ("a", "b"), **settings}
    model = DDSPDecoder(**settings).eval()
    model.load_state_dict({name: w.half().float() for name, w in model.state_dict().items()})
    model.about["played"] = dict.fromkeys(model.instruments, {"midi": [50.0, 60.0, 70.0], "loudness_db": [-40.0, -25.0, -15.0]})
    return model

def curves(seed, frames):
    "Pitch that glides and leaps, rests in between; loudness that does the same."
    draw = np.random.default_rng(seed)
    hold = lambda low, high: np.repeat(draw.uniform(low, high, frames // 20 + 1), 20)[:frames]
    midi = hold(40, 90) + np.cumsum(draw.normal(0, 0.05, frames))
    f0_hz = 440 * 2 ** ((midi - 69) / 12)
    f0_hz[frames // 2:frames // 2 + 7] = 0
    return f0_hz.astype(np.float32), (hold(-70, -5) + draw.normal(0, 1, frames)).astype(np.float32)

FOUR = instrument_model("four")
MODELS = {"four": FOUR, "flute": instrument_model("flute"), "odd": any_model(), "one": any_model(1, instruments=("",), layers=1, hop=64, bands=65)}

def features(model, seed, frames, who=0):
    f0_hz, loudness_db = (torch.tensor(x)[None] for x in curves(seed, frames))
    return {"f0_hz": f0_hz, "loudness_db": loudness_db, "instrument": torch.tensor([who])}

def white(model, seed, frames):
    draw = torch.Generator().manual_seed(seed)
    return 3**0.5 * (2 * torch.rand(1, frames * model.hop, generator=draw) - 1)

def snr_db(got, expected): return 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum())


# --- the page -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    drawn = {name: [x + shift for x in curves(seed, 250)] for name, seed, shift in (("Leaps", 1, 0.0), ("Others", 2, 0.0))}
    for f0_hz, _ in drawn.values(): f0_hz[f0_hz <= 0] = 220
    tags = ""
    for id, model in MODELS.items():
        own = drawn if id == "four" else {}
        tags += instrument(playable(model, own, id), "Play it").html.replace("<ddsp-decoder ", f'<ddsp-decoder id="{id}" ')
    with served(tmp_path_factory.mktemp("site"), '<meta name="viewport" content="width=device-width">' + tags) as addresses: yield addresses

@pytest.fixture(scope="module")
def sound(browser, site):
    "A page for the tests that only compute."
    return visit(browser, site["http"], FS)

@pytest.fixture(params=["http", "file"], scope="module")
def page(request, browser, site):
    with watched(browser, site[request.param], FS) as page: yield page


# --- the same sound as in Python ------------------------------------------------------------------------

RENDER = PACKED + """const given = (text) => Float32Array.from(atob(text).match(/[^]{4}/g), (s) => new DataView(Uint8Array.from(s, (c) => c.charCodeAt(0)).buffer).getFloat32(0, true));
    const [id, f0, db, noise, who, wet] = arguments, { values } = document.getElementById(id).patch;
    return packed(ddsp.DSP.renderDecoder(values, given(f0), given(db), who, given(noise), wet))"""

def in_page(page, id, sound, noise, wet):
    import base64
    text = lambda x: base64.b64encode(np.asarray(x, "<f4").tobytes()).decode()
    arrays = text(sound["f0_hz"]), text(sound["loudness_db"]), text(noise)
    return unpacked([page.js(RENDER, id, *arrays, int(sound["instrument"]), wet)], float)[0]

@pytest.mark.parametrize("id", MODELS)
@torch.no_grad()
def test_the_browser_plays_what_pytorch_plays(sound, record_property, id):
    "Harmonics, noise, both, and both in their room; every instrument."
    model = MODELS[id]
    for who in range(len(model.instruments)):
        heard, noise = features(model, who, 300, who), white(model, who, 300)
        parts = model.parts(heard, noise)
        harmonic, dry, wet = (in_page(sound, id, heard, n, room) for n, room in ((0 * noise, 0), (noise, 0), (noise, 1)))
        pairs = {"harmonics": (harmonic, parts["harmonic"]), "noise": (dry - harmonic, parts["noise"]), "dry": (dry, sum(parts.values())), "room": (wet, model(heard, noise))}
        for name, (got, expected) in pairs.items():
            snr = snr_db(got, expected[0].numpy())
            record_property(f"{name}_db", snr)
            print(f"{id} {who} {name:10} {snr:.0f} dB")
            assert snr > 80, name
