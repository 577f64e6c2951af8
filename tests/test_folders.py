"Folders and `ddsp-match`: every bad input, interruption, resuming, shards, and names that would like to be programs."
import json, os, signal, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader
from ddsp_book import command as C, folders as F
from ddsp_book.fm6 import FM6Op
from ddsp_book.hybrid import load_patch, render_patch
from ddsp_book.matching import Match

torch.set_num_threads(1)
RATE = 16000
HOSTILE = "<img src=x onerror=alert(1)>\"'&.wav"


def tone(seconds=0.3, rate=RATE, f_hz=300.0, level=0.5):
    t = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * f_hz * t) * np.exp(-4 * t)


def put(path, audio=None, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if audio is None else audio, rate, **options)
    return path


@pytest.fixture
def quick(monkeypatch):
    "A search that is over at once: the default patch. Its arguments are kept."
    calls = []
    def match(sound, sample_rate, synth, **options):
        calls.append((sound, synth, options))
        player = FM6Op(sample_rate)
        patch = player.panel.defaults()
        with torch.no_grad(): audio = player(patch, len(sound))[0]
        return Match(patch, 3.0 + len(calls), [(0.1, 9.0), (0.2, 4.0)], audio, player, 1.0)
    monkeypatch.setattr(F, "match", match)
    return calls


def run(*arguments): return C.main([str(a) for a in arguments])


# Reading ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
def test_any_rate_becomes_16_khz_at_its_pitch(tmp_path, rate):
    sound = F.read_sound(put(tmp_path / "x.wav", tone(1, rate, 1000), rate), 1.0)
    assert sound.sample_rate == RATE and sound.audio.dtype == torch.float32 and abs(len(sound.audio) - RATE) <= 1
    assert np.abs(np.fft.rfft(sound.audio[:8000])).argmax() == 500
    assert sound.audio.abs().max() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("suffix, options", [(".wav", {"subtype": "PCM_24"}), (".flac", {}), (".aiff", {}), (".ogg", {}), (".mp3", {}), (".caf", {})])
def test_formats(tmp_path, suffix, options):
    sound = F.read_sound(put(tmp_path / f"x{suffix}", **options))
    assert len(sound.audio) >= 0.29 * RATE and 0.4 < sound.audio.abs().max() < 0.6


def test_stereo_is_mixed_and_channels_that_cancel_are_not_lost(tmp_path):
    x = tone()
    mixed = F.read_sound(put(tmp_path / "x.wav", np.stack([x, 0 * x], 1))).audio
    assert mixed.abs().max() == pytest.approx(0.25, rel=0.02)
    assert F.read_sound(put(tmp_path / "y.wav", np.stack([x, -x], 1))).audio.abs().max() == pytest.approx(0.5, rel=0.02)
    many = F.read_sound(put(tmp_path / "z.wav", np.repeat(x[:, None], 7, 1))).audio
    assert many.abs().max() == pytest.approx(0.5, rel=0.02)


def test_a_long_file_begins_where_it_sounds_and_takes_no_memory(tmp_path):
    import resource
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 2) as file:  # 20 minutes of hiss at -75 dB
        hiss = np.random.default_rng(0).normal(0, 10 ** (-75 / 20), (60 * RATE, 2))
        for minute in range(20):
            if minute == 7: hiss[RATE:RATE + 4800] += tone()[:, None]
            file.write(hiss)
            if minute == 7: hiss[RATE:RATE + 4800] -= tone()[:, None]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sound = F.read_sound(tmp_path / "long.flac", 1.0)
    assert len(sound.audio) == RATE and sound.note == "only 420.99…421.99 s of 1200.00 s"
    assert sound.audio[160 - 20:160 + 200].abs().max() > 0.3 and sound.audio[:150].abs().max() < 0.01
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; the file is 300 000


def test_clipped_sounds_are_matched_and_told(tmp_path, quick, capsys):
    t = np.arange(RATE // 2) / RATE
    hot = np.clip(3 * np.sin(2 * np.pi * 220 * t), -1, 1)
    flat = 1 - 2 / np.pi * np.arcsin(1 / 3)
    assert F.clipped_share(hot[:, None]) == pytest.approx(flat, abs=0.02)
    assert F.clipped_share(np.sin(2 * np.pi * 220 * t)[:, None]) == 0  # full scale, not clipped
    assert run(put(tmp_path / "hot.wav", hot), "-o", tmp_path / "hot.json") == 0
    assert "% of the samples are clipped" in capsys.readouterr().err
    assert "clipped" in json.loads((tmp_path / "hot.json").read_text())["match"]["note"]


def bad(folder, name):
    path = folder / f"{name}.wav"
    if name == "silent": put(path, np.zeros(RATE))
    if name == "short": put(path, tone(0.03))
    if name == "click": put(path, np.r_[np.zeros(RATE), tone(0.02)])
    if name == "empty": put(path, np.zeros(0))
    if name == "nothing": path.write_bytes(b"")
    if name == "text": path.write_text("not a sound")
    if name == "nan": put(path, np.r_[tone(), np.nan], subtype="FLOAT")
    if name == "inf": put(path, np.r_[tone(), np.inf], subtype="FLOAT")
    if name == "cut": path.write_bytes(put(path).read_bytes()[:30])
    return path


BAD = {"silent": "is silent", "short": "at least 50 ms", "click": "at least 50 ms", "empty": "holds no samples", "nothing": "not readable as audio",
       "text": "not readable as audio", "nan": "holds NaN", "inf": "holds NaN or inf", "cut": "(not readable|no samples)", "missing": "no such file"}


@pytest.mark.parametrize("name, why", BAD.items())
def test_bad_sounds_are_named_in_one_line(tmp_path, capsys, name, why):
    path = bad(tmp_path, name)
    with pytest.raises((ValueError, OSError), match=why) as caught: F.read_sound(path)
    assert str(path) in str(caught.value)
    assert run(path, "-o", tmp_path / "x.json") == 1
    said = capsys.readouterr().err
    assert said.startswith("ddsp-match: ") and said.count("\n") == 1 and str(path) in said and "Traceback" not in said
    assert not (tmp_path / "x.json").exists() and not (tmp_path / "x.html").exists()


# The dataset ------------------------------------------------------------------------------------

def test_items_keep_their_file_in_any_order_and_shard(tmp_path):
    levels = {f"{name}.wav": 0.1 + 0.1 * i for i, name in enumerate("badcfe")} | {"sub/x.flac": 0.9}
    for name, level in levels.items(): put(tmp_path / name, tone(0.2 + level / 10, level=level))
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / ".hidden.wav").write_text("no sound")
    dataset = F.AudioDataset(tmp_path, seconds=0.5)
    assert dataset.files == sorted(levels) and len(dataset) == 7
    seen = []
    for batch in DataLoader(dataset, 3, shuffle=True):
        assert batch["audio"].shape[1] == RATE // 2
        for file, index, audio, n in zip(batch["file"], batch["index"], batch["audio"], batch["n_samples"]):
            assert dataset.files[index] == file and audio.abs().max() == pytest.approx(levels[file], rel=0.02)
            assert not audio[n:].any()
            seen.append(file)
    assert sorted(seen) == dataset.files
    assert sorted(sum((dataset.shard(rank, 3).files for rank in range(3)), [])) == dataset.files
    for rank, of in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="rank|of"): dataset.shard(rank, of)


def test_all_rates_fit_into_one_batch(tmp_path):
    for rate in (8000, 11025, 22050, 44100, 48000, 96000, 192000): put(tmp_path / f"{rate}.wav", tone(1, rate), rate)
    for seconds in (0.1, 1 / 3, 0.7071, 1.5):
        batch, = DataLoader(F.AudioDataset(tmp_path, seconds), 7)
        assert batch["audio"].shape == (7, int(np.ceil(seconds * RATE)))


def test_folders_without_sounds_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no sounds"): F.AudioDataset(tmp_path)
    with pytest.raises(NotADirectoryError, match="nowhere"): F.AudioDataset(tmp_path / "nowhere")


# One sound --------------------------------------------------------------------------------------

def test_a_sound_becomes_a_patch_that_plays(tmp_path):
    sound = put(tmp_path / "x.wav")
    assert run(sound, "-o", tmp_path / "x.json", "--work", 1, "--length", 0.25, "--seed", 3) == 0
    synth = FM6Op(RATE)
    patch = synth.panel.load(tmp_path / "x.json")
    assert synth(patch, 4000).isfinite().all()
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["name"] == "x" and "from x.wav, sha256 " in data["origin"] and "--seed 3" in data["origin"]
    assert data["match"]["file"] == "x.wav" and 0 < data["match"]["distance_db"] < 60 and data["match"]["interrupted"] is False
    assert (tmp_path / "x.html").stat().st_size < 1_500_000


def test_harmonic(tmp_path):
    pytest.importorskip("librosa")
    sound = put(tmp_path / "x.wav", 0.5 * np.sign(np.sin(2 * np.pi * 220 * np.arange(5000) / RATE)))
    assert run(sound, "-o", tmp_path / "x.json", "--synth", "harmonic", "--work", 90, "--f0", 220) == 0
    patch = load_patch(tmp_path / "x.json")
    assert patch["values"]["f0_hz"] == pytest.approx(220, rel=0.01) and np.isfinite(render_patch(patch)).all()
    assert "harmonic" in patch["origin"] and patch["match"]["distance_db"] < 20


@pytest.mark.parametrize("synth", ["fm6", "harmonic"])
def test_the_shortest_sound_there_may_be(tmp_path, synth):
    sound = put(tmp_path / "x.wav", 0.5 * np.sin(np.arange(801) * 0.3))
    assert run(sound, "-o", tmp_path / "x.json", "--synth", synth, "--work", 1, "--no-report") == 0
    assert not (tmp_path / "x.html").exists()


def test_what_was_asked_for_is_handed_on(tmp_path, quick):
    run(put(tmp_path / "x.wav"), "-o", tmp_path / "x.json", "--seconds", 7, "--seed", 5, "--f0", 330, "--workers", 2, "--length", 0.1,
        "--report", tmp_path / "elsewhere.html")
    sound, synth, options = quick[0]
    assert synth == "fm6" and options == dict(f0_hz=330.0, seconds=7.0, seed=5, work=None, workers=2, progress=False) and len(sound) == 4000 and not sound[1600:].any()
    assert (tmp_path / "elsewhere.html").exists() and not (tmp_path / "x.html").exists()


def test_bad_arguments(tmp_path, quick, capsys):
    sound = put(tmp_path / "x.wav")
    for wrong in (["--seconds", "0"], ["--seconds", "soon"], ["--f0", "-1"], ["--synth", "kazoo"], ["--length", "nan"]):
        with pytest.raises(SystemExit) as caught: run(sound, "-o", tmp_path / "x.json", *wrong)
        assert caught.value.code == 2
    assert run(sound, "-o", tmp_path / "no" / "x.json") == 1 and run(sound, "-o", sound) == 1
    assert run(sound, "-o", tmp_path / "x.html") == 1  # the page would lie on the patch
    assert run(tmp_path, "-o", tmp_path / "out", "--report", "x.html") == 1
    assert sound.stat().st_size > 1000 and os.listdir(tmp_path) == ["x.wav"] and not quick
    assert "Traceback" not in capsys.readouterr().err


def test_no_nan_reaches_a_file(tmp_path, quick, monkeypatch, capsys):
    good, sound = F.match, put(tmp_path / "x.wav")
    assert run(sound, "-o", tmp_path / "x.json") == 0
    before = (tmp_path / "x.json").read_bytes()
    def bad_patch(*sound, **options):
        m = good(*sound, **options)
        m.patch["level"][0, 0] = float("nan")
        return m
    def bad_distance(*sound, **options):
        m = good(*sound, **options)
        m.distance = float("inf")
        return m
    for bad in (bad_patch, bad_distance):
        monkeypatch.setattr(F, "match", bad)
        assert run(sound, "-o", tmp_path / "x.json") == 1
        assert (tmp_path / "x.json").read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


# Ctrl-C -----------------------------------------------------------------------------------------

def press_in(n, number=signal.SIGINT):
    "A function that presses Ctrl-C when it is called for the `n`-th time."
    count = 0
    def press():
        nonlocal count
        count += 1
        if count == n: signal.raise_signal(number)
    return press


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_best_so_far(tmp_path, monkeypatch, number):
    from ddsp_book import matching
    press, note = press_in(2, number), matching.Run.note
    def noted(*options):
        note(*options)
        press()
    monkeypatch.setattr(matching.Run, "note", noted)
    before = signal.getsignal(number)
    assert run(put(tmp_path / "x.wav"), "-o", tmp_path / "x.json", "--work", 100000, "--length", 0.25) == 130
    assert FM6Op(RATE).panel.load(tmp_path / "x.json") and (tmp_path / "x.html").exists()
    assert json.loads((tmp_path / "x.json").read_text())["match"]["interrupted"] is True
    assert signal.getsignal(number) is before


def test_ctrl_c_keeps_the_best_harmonics(tmp_path, monkeypatch):
    pytest.importorskip("librosa")
    from ddsp_book.hybrid import DDSPHybrid
    press, synth = press_in(9), DDSPHybrid.synth
    def pressed(*options):
        press()
        return synth(*options)
    monkeypatch.setattr(DDSPHybrid, "synth", pressed)
    assert run(put(tmp_path / "x.wav"), "-o", tmp_path / "x.json", "--synth", "harmonic", "--no-report") == 130
    assert load_patch(tmp_path / "x.json")["match"]["interrupted"] is True


def test_ctrl_c_before_anything(tmp_path, monkeypatch, capsys):
    def press(*sound, **options): signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(F, "match", press)
    assert run(put(tmp_path / "x.wav"), "-o", tmp_path / "x.json") == 130
    assert "before there was anything to keep" in capsys.readouterr().err and not (tmp_path / "x.json").exists()


def test_ctrl_c_while_writing_does_not_lose_what_was_found(tmp_path, quick, monkeypatch):
    save = C.save_found
    def saved(*options, **about):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        save(*options, **about)
    monkeypatch.setattr(C, "save_found", saved)
    assert run(put(tmp_path / "x.wav"), "-o", tmp_path / "x.json") == 130
    assert FM6Op(RATE).panel.load(tmp_path / "x.json")


def test_an_interrupt_that_is_no_signal(tmp_path, monkeypatch):
    def stop(*sound, **options): raise KeyboardInterrupt
    monkeypatch.setattr(F, "match", stop)
    assert run(put(tmp_path / "in/x.wav"), "-o", tmp_path / "x.json") == 130
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 130


# Folders ----------------------------------------------------------------------------------------

@pytest.fixture
def many(tmp_path):
    for name in ("a.wav", "a.flac", "b.wav", "sub/c.ogg"): put(tmp_path / "in" / name)
    for name in ("text", "silent"): bad(tmp_path / "in", name)
    return tmp_path / "in"


def test_a_folder_reports_what_it_cannot_read_and_does_the_rest(many, tmp_path, quick, capsys):
    out = tmp_path / "out"
    assert run(many, "-o", out) == 1
    done = {p.relative_to(out).as_posix() for p in out.rglob("*.json")}
    assert done == {"a.wav.json", "a.flac.json", "b.wav.json", "sub/c.ogg.json"} == {p[:-5] + ".json" for p in done}
    assert {p.relative_to(out).as_posix()[:-5] for p in out.rglob("*.html")} == {p[:-5] for p in done}
    said = capsys.readouterr().err
    assert "text.wav' is not readable" in said and "silent.wav' is silent" in said and "4 of 6 sounds are done, 2 failed" in said
    rows = (out / "summary.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[0] == "file,distance_db,note" and "is silent" in rows[4] and rows[1].startswith("a.flac,4.0")
    for path in out.rglob("*.json"): assert json.loads(path.read_text())["match"]["file"] == path.name[:-5]


def test_a_folder_goes_on_where_it_stopped(many, tmp_path, quick, monkeypatch, capsys):
    out, search = tmp_path / "out", F.match
    def stopped(*sound, **options):
        m = search(*sound, **options)
        if len(quick) == 2:  # Ctrl-C in the second search, which gives what it has
            try: signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt: pass
        return m
    monkeypatch.setattr(F, "match", stopped)
    assert run(many, "-o", out) == 130
    assert len(list(out.rglob("*.json"))) == 2 and "to do" in (out / "summary.csv").read_text()
    first = (out / "a.flac.json").read_bytes(), (out / "a.flac.json").stat().st_mtime_ns
    assert run(many, "-o", out) == 1
    assert len(quick) == 5  # one done, one begun again, two new
    assert ((out / "a.flac.json").read_bytes(), (out / "a.flac.json").stat().st_mtime_ns) == first
    assert len(list(out.rglob("*.json"))) == 4
    assert run(many, "-o", out) == 1 and len(quick) == 5
    assert "4 of 6 sounds are done" in capsys.readouterr().err


def test_a_search_that_breaks_does_not_take_the_others_along(many, tmp_path, quick, monkeypatch, capsys):
    search = F.match
    def fragile(*sound, **options):
        if len(quick) == 1:
            quick.append(None)
            raise RuntimeError("out of luck")
        return search(*sound, **options)
    monkeypatch.setattr(F, "match", fragile)
    assert run(many, "-o", tmp_path / "out") == 1
    assert len(list((tmp_path / "out").rglob("*.json"))) == 3 and "out of luck" in (tmp_path / "out" / "summary.csv").read_text()


def test_harmonic_patches_are_known_again(tmp_path):
    pytest.importorskip("librosa")
    put(tmp_path / "in" / "a.wav")
    for _ in range(2): assert run(tmp_path / "in", "-o", tmp_path / "out", "--synth", "harmonic", "--work", 3, "--no-report") == 0


def test_subtractive(tmp_path):
    from ddsp_book.subtractive import SubtractiveSynth
    assert run(put(tmp_path / "x.wav", tone(0.1)), "-o", tmp_path / "x.json", "--synth", "subtractive", "--work", 1) == 0
    patch = SubtractiveSynth(RATE).panel.load(tmp_path / "x.json")
    assert patch["f0_hz"].item() == pytest.approx(300, rel=0.01) and SubtractiveSynth(RATE)(patch, 1600).isfinite().all()


def test_patches_of_another_synth_are_left_alone(tmp_path, quick, capsys):
    put(tmp_path / "in" / "a.wav")
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    before = (tmp_path / "out" / "a.wav.json").read_bytes()
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--synth", "harmonic") == 1
    assert "is a patch for 'fm6'; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.wav.json").read_bytes() == before


def test_two_processes_write_the_same_files_as_one(tmp_path, capsys):
    for i in range(2): put(tmp_path / "in" / f"{i}.wav", tone(0.1, f_hz=200 + 100 * i))
    bad(tmp_path / "in", "text")
    arguments = [str(tmp_path / "in"), "--work", "1", "--no-report", "-o"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node", "2"]
    command = [sys.executable, "-c", "import sys; from ddsp_book.command import main; sys.exit(main())"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    two = subprocess.Popen([*torchrun, *command, *arguments, str(tmp_path / "two")], env=env, stderr=subprocess.PIPE, text=True)
    assert run(*arguments, tmp_path / "one") == 1 and "2 of 3 sounds are done, 1 failed" in capsys.readouterr().err
    said = two.communicate()[1]
    assert two.returncode == 0, said  # after an error torchrun would have stopped the other
    assert said.count("1 of 2 sounds are done, 1 failed") == 1 and said.count("1 of 1 sounds are done, 0 failed") == 1
    files = {where: {p.name: p.read_text() for p in (tmp_path / where).iterdir()} for where in ("one", "two")}
    assert set(files["one"]) == {"0.wav.json", "1.wav.json", "summary.csv"}
    assert files["one"] == files["two"]


# Names and pages --------------------------------------------------------------------------------

class Tags(HTMLParser):
    "All tags of a page with their attributes, and its text."
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)
    def handle_starttag(self, tag, attributes): self.tags.append((tag, dict(attributes)))
    def handle_data(self, data): self.text += data


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_hostile_names_are_text(tmp_path, quick):
    put(tmp_path / "in" / HOSTILE)
    put(tmp_path / "in" / "</script><script>alert(2)<!--.wav".replace("/", "\u2215"))
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    pages = list((tmp_path / "out").glob("*.html"))
    assert len(pages) == 2
    for page in pages:
        seen = Tags(page.read_text("utf-8"))
        assert [t for t, _ in seen.tags].count("img") == 0 and not [a for _, attributes in seen.tags for a in attributes if a.startswith("on")]
        assert [t for t, _ in seen.tags].count("script") == 2 and page.name[:20] in seen.text
        assert not [v for _, a in seen.tags for k, v in a.items() if k in ("src", "href") and v and not v.startswith(("data:", "#"))]


def test_a_hostile_patch_cannot_write_tags(tmp_path, quick):
    sound = F.read_sound(put(tmp_path / "x.wav"))
    found = F.find(sound, "x")
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    found.patch.update(name=evil, origin=evil, units={**found.patch["units"], "level": evil})
    sound.note = evil
    tags = [t for t, _ in Tags(C.report(found, sound)).tags]
    assert "img" not in tags and tags.count("script") == 2  # the patch as JSON, and the page's own


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_names_that_are_no_utf_8(tmp_path, quick):
    os.makedirs(tmp_path / "in")
    name = os.fsdecode(b"caf\xe9 \xff.wav")
    try: os.rename(put(tmp_path / "x.wav"), tmp_path / "in" / name)
    except OSError: pytest.skip("nor on this file system")
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    data = json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8"))
    assert data["name"] == "caf\ufffd \ufffd" and "caf\ufffd" in (tmp_path / "out" / "summary.csv").read_text("utf-8")


def test_the_command_is_installed_under_its_name():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    assert 'ddsp-match = "ddsp_book.command:main"' in text


def test_the_commands_in_the_readme_are_understood(tmp_path):
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    lines = [line.split("#")[0].split("ddsp-match ")[1].split() for line in text.splitlines() if "ddsp-match " in line and " -o " in line]
    assert len(lines) >= 3 and all(C._options().parse_args(line).output for line in lines)


def test_the_page_plays_from_disk(tmp_path, quick, browser):
    put(tmp_path / "in" / HOSTILE)
    assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    page, = (tmp_path / "out").glob("*.html")
    browser.get_log("browser")
    browser.get(page.as_uri())
    js = browser.execute_script
    assert js("return document.querySelector('h1').textContent") == HOSTILE[:-4] and js("return document.images.length") == 0
    assert js("return [...document.querySelectorAll('ddsp-ab, ddsp-fm6')].map(e => !!e.shadowRoot)") == [True, True]
    assert not js("return document.documentElement.scrollWidth > innerWidth")
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
