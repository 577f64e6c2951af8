"Sound as an array, against references that we did not write."
import hashlib, os
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, strategies as st
from ddsp_book import audio as A

@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_pitch_units_agree_with_librosa_and_invert(f, reference):
    import librosa
    assert A.hz_to_midi(f) == pytest.approx(librosa.hz_to_midi(f)) and A.midi_to_hz(A.hz_to_midi(f)) == pytest.approx(f)
    assert A.cents(f, reference) == pytest.approx(1200 * np.log2(f / reference), abs=1e-6)

@pytest.mark.parametrize("note", ["A4", "C-1", "C#3", "Bb5", "Fs2", "G9", "Db0"])
def test_note_names_agree_with_librosa(note):
    import librosa
    assert A.note_to_hz(note) == pytest.approx(librosa.note_to_hz(note.replace("s", "#")))

@pytest.mark.parametrize("note", ["", "H4", "A", "A#", "4", "A4.5", "c4", "Abb3"])
def test_bad_note_names_are_refused(note):
    with pytest.raises(ValueError, match="note: expected a name"): A.note_to_hz(note)

def test_units_refuse_nonsense():
    with pytest.raises(ValueError, match="f_hz"): A.hz_to_midi(0)
    with pytest.raises(ValueError, match="f_hz"): A.hz_to_midi(np.nan)
    assert np.array_equal(A.amp_to_db(np.array([0.0, 1.0, -10.0])), [-120, 0, 20])
    assert A.db_to_amp(-6.0206) == pytest.approx(0.5, rel=1e-5)

def test_time_axis_excludes_the_end():
    assert A.time_axis(48000, 48000)[-1] == 1 - 1 / 48000
    for rate in (0, -1, np.nan):
        with pytest.raises(ValueError, match="sample_rate"): A.time_axis(10, rate)

@pytest.mark.parametrize("n, n_fft, hop", [(1, 64, 16), (1000, 64, 16), (1000, 256, 100), (4097, 512, 512)])
def test_stft_agrees_with_scipy(n, n_fft, hop):
    x = np.random.default_rng(0).standard_normal(n)
    ours = A.stft(x, n_fft, hop)
    padded = np.pad(x, n_fft)  # scipy wants at least half a window of signal
    theirs = scipy.signal.ShortTimeFFT(A.window(n_fft), hop=1, fs=1, fft_mode="onesided").stft(padded)
    theirs = theirs[:, n_fft + n_fft // 2 - (scipy.signal.ShortTimeFFT(A.window(n_fft), 1, 1).p_min + n_fft // 2):]
    assert ours.shape == (1 + (n - 1) // hop, n_fft // 2 + 1)
    frame = lambda i: np.fft.rfft(padded[n_fft - n_fft // 2 + i * hop:][:n_fft] * scipy.signal.get_window("hann", n_fft) * 2 / scipy.signal.get_window("hann", n_fft).sum())
    assert np.allclose(ours, [frame(i) for i in range(len(ours))])

@pytest.mark.parametrize("amplitude", [1.0, 0.25])
def test_a_sine_reads_its_amplitude(amplitude):
    x = amplitude * np.cos(2 * np.pi * 1000 * np.arange(16000) / 16000)
    assert np.abs(A.stft(x, 512))[20, 32] == pytest.approx(amplitude)

def test_log_mel_agrees_with_librosa():
    import librosa
    x, rate = A.example("trumpet_G4")
    theirs = librosa.feature.melspectrogram(y=x, sr=rate, n_fft=1024, hop_length=256, n_mels=80, htk=True, norm=None, pad_mode="constant").T
    ours = A.log_mel(x, rate)
    theirs_db = 10 * np.log10(theirs * (2 / scipy.signal.get_window("hann", 1024).sum()) ** 2 + 1e-12)
    loud = ours > -90
    assert np.abs(ours - theirs_db[:len(ours)])[loud].max() < 0.02

@pytest.mark.parametrize("n_fft", [0, 3, -2])
def test_stft_refuses_odd_frames(n_fft):
    with pytest.raises(ValueError, match="n_fft"): A.stft(np.ones(100), n_fft)

@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("shape", [(500,), (2, 500)])
def test_files_go_round(tmp_path, suffix, shape):
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    A.write(tmp_path / f"x{suffix}", x, 22050)
    back, rate = A.read(tmp_path / f"x{suffix}", mono=False)
    assert rate == 22050 and np.abs(back - np.atleast_2d(x)).max() < 2**-14
    assert np.allclose(A.read(tmp_path / f"x{suffix}")[0], back.mean(0))

@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_resampling_keeps_pitch_and_length(tmp_path, rate):
    x = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    A.write(tmp_path / "x.wav", x, rate)
    y, new_rate = A.read(tmp_path / "x.wav", sample_rate=16000)
    assert new_rate == 16000 and abs(len(y) - 16000) <= 1
    middle = y[4000:12000]
    assert np.fft.rfft(middle * np.hanning(8000)).__abs__().argmax() == 500
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)

def test_resampling_does_not_alias():
    x = np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000)
    assert A.amp_to_db(np.abs(A.resample(x, 16000, 8000))[500:-500].max()) < -80

def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="path: there is no file"): A.read(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(ValueError, match="not readable as audio"): A.read(tmp_path / "text.wav")
    (tmp_path / "zero.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="path"): A.read(tmp_path / "zero.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(ValueError, match="holds no samples"): A.read(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN"): A.read(tmp_path / "nan.wav")
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 3), 16000)
    with pytest.raises(ValueError, match="lasts 3 s, more than max_s=2"): A.read(tmp_path / "long.wav", max_s=2)
    with pytest.raises(FileNotFoundError): A.read(tmp_path)

def test_write_refuses_to_clip(tmp_path):
    with pytest.raises(ValueError, match="above full scale"): A.write(tmp_path / "x.wav", np.array([0.0, 1.5]), 16000)
    with pytest.raises(ValueError, match="sample_rate"): A.write(tmp_path / "x.wav", np.zeros(9), 0)
    assert not list(tmp_path.iterdir())

def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "keep.txt"
    path.write_text("old")
    def half(temporary):
        with open(temporary, "w") as file: file.write("ne")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): A.replace_file(path, half)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["keep.txt"]

def test_the_recordings_are_what_their_table_says():
    rows = A.examples()
    assert {r["name"] for r in rows} == {p.name[:-5] for p in (A.DATA / "audio").iterdir() if p.name.endswith(".flac")}
    for row in rows:
        path = A.DATA / "audio" / f"{row['name']}.flac"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        audio, rate = A.example(row["name"])
        assert rate == 16000 and abs(len(audio) / rate - float(row["duration_s"])) < 0.01 and np.abs(audio).max() <= 0.71
        assert row["licence"] and row["attribution"] and row["source"]

def test_unknown_recording_lists_the_known():
    with pytest.raises(ValueError, match="no recording 'kazoo'; there are violin_G3"): A.example("kazoo")
