"""Folders of recorded notes and the notes played from them."""

import pathlib

import numpy as np
import pytest
import soundfile

from data_pipeline.command import InputError
from data_pipeline.rendered.sound import note_folder, recorded_note, sampler, synthesise
from data_pipeline.rendered.sound.compose import Note
from data_pipeline.rendered.sound.instruments import INSTRUMENTS
from data_pipeline.rendered.sound.performance import CURVE_HZ, Played, play_plainly
from data_pipeline.sources.rendered_solos import SoloSet

RATE_HZ = recorded_note.RATE_HZ
VIOLIN = INSTRUMENTS["violin"]


def tone(hz: float, *, seconds: float = 1.5, silence_s: float = 0.3, gain: float = 0.2) -> np.ndarray:
    """Returns silence and then a tone of five harmonics."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = np.sum([np.sin(2 * np.pi * k * hz * time_s) / k for k in range(1, 6)], axis=0)
    return np.concatenate([np.zeros(round(silence_s * RATE_HZ)), gain * wave * np.minimum(time_s / 0.01, 1)])


def hz_of(pitch: float) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)


def measure(sound: np.ndarray, nominal_hz: float) -> float:
    """Returns the deviation of a steady sound in cents, by the phase of its fundamental."""
    time_s = np.arange(sound.size) / RATE_HZ
    base = sound * np.exp(-2j * np.pi * nominal_hz * time_s)
    window = np.hanning(sound.size // 2)
    first, second = (np.sum(part[: window.size] * window) for part in (base, base[sound.size // 2 :]))
    turn = np.angle(second * np.conj(first)) / (2 * np.pi * (sound.size // 2) / RATE_HZ)
    return 1200 * np.log2(1 + turn / nominal_hz)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Folder with two violins, one of them 20 cents sharp, and one flute."""
    root = tmp_path_factory.mktemp("notes")
    for place, cents, gain in (("violin/one", 0, 0.2), ("violin/two/package", 20, 0.02), ("flute", 0, 0.1)):
        (root / place).mkdir(parents=True)
        for name, pitch in (("A4", 69), ("Ds5", 75), ("C#4", 61)):
            soundfile.write(root / place / f"{name}.wav", tone(hz_of(pitch + cents / 100), gain=gain), RATE_HZ)
    (root / "violin" / "one" / "cover.wav").write_bytes(b"no sound")
    (root / "LICENSE").write_text("Public domain.\n")
    return root


@pytest.mark.parametrize(
    ("stem", "pitch"),
    [("A4", 69), ("As3", 58), ("C#5", 73), ("Db4", 61), ("C-1", 0), ("F2 v2", 41), ("Bb3", 58), ("b3", 59)],
)
def test_names_of_notes(stem, pitch):
    assert note_folder.parse_note(stem) == pitch


@pytest.mark.parametrize("stem", ["cover", "A", "H4", "A44", "package", "Ax4"])
def test_other_names_are_no_notes(stem):
    assert note_folder.parse_note(stem) is None


def test_folder_is_described_by_its_contents(folder, tmp_path):
    found = note_folder.describe_folder(folder)
    assert {name: [one.name for one in sets] for name, sets in found.sets.items()} == {
        "flute": ["flute"],
        "violin": ["violin/one", "violin/two/package"],
    }
    assert [pitch for pitch, _ in found.sets["violin"][0].files] == [61, 69, 75]
    assert found.licence == "Public domain." and len(found.sha256) == 64
    # Links instead of copies give the same contents.
    for name in ("violin", "flute"):
        (tmp_path / name).symlink_to(folder / name)
    linked = note_folder.describe_folder(tmp_path)
    assert linked.sha256 == found.sha256 and linked.licence == "unknown; the folder names none"
    (tmp_path / "flute").unlink()
    assert note_folder.describe_folder(tmp_path).sha256 != found.sha256


def test_licence_is_taken_from_a_readme(folder, tmp_path):
    (tmp_path / "flute").mkdir()
    (tmp_path / "flute" / "A4.wav").write_bytes((folder / "flute" / "A4.wav").read_bytes())
    (tmp_path / "flute" / "README.md").write_text("# Notes\n\nOf a flute.\n\n## License\n\nSamples: CC-by 3.0\n")
    assert note_folder.describe_folder(tmp_path).licence == "Samples: CC-by 3.0"


def test_folder_without_notes_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no recorded notes; it needs files such as .*accordion/A4\.mp3"):
        synthesise.choose_renderer("auto", tmp_path)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("pitch", [60, 69, 72, 74, 78])
def test_pitch_is_within_five_cents_whatever_the_recording(folder, place, pitch):
    note_set = note_folder.describe_folder(folder).sets["violin"][place]
    notes = play_plainly([Note(0.1, 2.9, pitch, 100)])
    sound = sampler.play_recordings(note_set, VIOLIN, notes, np.random.default_rng(0), seconds=3.0, cents=30.0)
    part = sound[round(0.3 * RATE_HZ) : round(1.2 * RATE_HZ)]
    assert abs(measure(part, hz_of(pitch + 0.3))) < 5


def test_curve_bends_the_pitch_and_sets_the_level(folder):
    note_set = note_folder.describe_folder(folder).sets["violin"][0]
    count = 3 * CURVE_HZ
    step = np.arange(count) >= count // 2
    played = [Played(Note(0.0, 3.0, 69, 100), np.where(step, 100.0, 0.0), np.where(step, 0.1, 1.0))]
    sound = sampler.play_recordings(note_set, VIOLIN, played, np.random.default_rng(0), seconds=3.0, cents=0.0)
    before, after = (
        sound[round(0.3 * RATE_HZ) : round(1.3 * RATE_HZ)],
        sound[round(1.7 * RATE_HZ) : round(2.7 * RATE_HZ)],
    )
    assert abs(measure(before, 440.0)) < 5 and abs(measure(after, hz_of(70))) < 5
    assert 20 * np.log10(np.std(after) / np.std(before)) == pytest.approx(-20, abs=1)


def test_levels_and_onsets_of_recordings_are_even(folder):
    sets = note_folder.describe_folder(folder).sets["violin"]
    for note_set in sets:
        for pitch, path in note_set.files:
            samples = recorded_note.read_note(path, pitch, sustained=True).samples
            assert np.std(samples[2205:22050]) == pytest.approx(0.1, rel=0.1)
            assert np.abs(samples[: RATE_HZ // 50]).max() > 0.02  # the silence of 0.3 s before the tone is gone


def test_long_notes_are_sustained_without_a_gap_and_plucked_ones_end(folder):
    note_set = note_folder.describe_folder(folder).sets["violin"][0]
    notes = play_plainly([Note(0.0, 6.0, 69, 100)])
    levels = {}
    for name in ("violin", "acoustic_guitar"):
        sound = sampler.play_recordings(
            note_set, INSTRUMENTS[name], notes, np.random.default_rng(0), seconds=7.0, cents=0.0
        )
        levels[name] = np.sqrt(np.mean(sound[: 60 * 4410].reshape(60, 4410) ** 2, axis=1))
        assert not sound[round(6.5 * RATE_HZ) :].any()
    assert levels["violin"][1:].min() > 0.8 * np.median(levels["violin"])
    assert levels["acoustic_guitar"][20:].max() < 1e-3


def test_loud_notes_are_louder_and_brighter(folder):
    note_set = note_folder.describe_folder(folder).sets["violin"][0]
    found = []
    for velocity in (40, 120):
        notes = play_plainly([Note(0.0, 1.0, 69, velocity)])
        sound = sampler.play_recordings(note_set, VIOLIN, notes, np.random.default_rng(0), seconds=1.0, cents=0.0)
        spectrum = np.abs(np.fft.rfft(sound[4410:39690] * np.hanning(35280)))
        found.append((spectrum[352], spectrum[352 * 5] / spectrum[352]))  # 440 and 2200 Hz
    assert 8 < 20 * np.log10(found[1][0] / found[0][0]) < 20
    assert found[1][1] > 1.2 * found[0][1]


def test_damaged_and_silent_recordings_are_refused(tmp_path):
    (tmp_path / "A4.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"A4\.wav cannot be read as audio"):
        recorded_note.read_note(tmp_path / "A4.wav", 69, sustained=False)
    soundfile.write(tmp_path / "B4.wav", np.zeros(4410), RATE_HZ)
    with pytest.raises(InputError, match=r"B4\.wav is silent"):
        recorded_note.read_note(tmp_path / "B4.wav", 71, sustained=False)


def test_set_needs_a_renderer_for_every_class(folder, tmp_path):
    notes = synthesise.choose_renderer("auto", folder)
    assert notes.name == "recorded_notes" and notes.has("violin") and not notes.has("tuba")
    with pytest.raises(InputError, match=r"recorded notes lack accordion, acoustic_guitar, cello, .*--soundfont=FILE"):
        SoloSet(tmp_path, 1, 2.0, 0, (notes,))
    both = SoloSet(tmp_path, 1, 2.0, 0, (synthesise.additive_renderer(), notes))
    assert both.parameters["soundfont_sha256"] == [None, notes.font and notes.font.sha256]
