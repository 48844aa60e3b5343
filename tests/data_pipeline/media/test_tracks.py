"""Which tracks of a file are heard and seen."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from data_pipeline.media import reader
from data_pipeline.media.downmix import Downmix
from data_pipeline.media.errors import MediaError
from data_pipeline.media.reader import TrackChoice
from data_pipeline.sources import Video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_video import stage_video

RATE_HZ = 8000
SECONDS = 2.0
MAIN, NONE = Disposition.default, Disposition(0)


def tone(hz: float, *, channels: int = 1, level: float = 0.4) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ)
    return np.stack([wave] * channels).astype(np.float32)


def write(path: Path, *sounds: tuple[np.ndarray, Disposition, dict[str, str]], cover: bool = False) -> Path:
    """Writes moving grey pictures and several tracks of sound, each with its flags and metadata."""
    with av.open(str(path), "w") as container:
        if cover:
            poster = container.add_stream("png", rate=1)
            poster.height, poster.width, poster.pix_fmt = 64, 64, "rgb24"
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
        tracks = []
        for sound, flags, metadata in sounds:
            track = container.add_stream("pcm_s16le", rate=RATE_HZ, layout={1: "mono", 2: "stereo"}[len(sound)])
            track.disposition = flags
            track.metadata.update(metadata)
            tracks.append(track)
        if cover:
            red = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (250, 0, 0), np.uint8), format="rgb24")
            red.pts, red.time_base = 0, Fraction(1, 1)
            container.mux(poster.encode(red))
        for number in range(round(10 * SECONDS)):
            grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + 5 * number, np.uint8), format="rgb24")
            grey.pts, grey.time_base = number, Fraction(1, 10)
            container.mux(pictures.encode(grey))
        container.mux(pictures.encode())
        for (sound, _, _), track in zip(sounds, tracks, strict=True):
            packed = np.ascontiguousarray(np.rint(sound.T * 32767).astype(np.int16)).reshape(1, -1)
            block = av.AudioFrame.from_ndarray(packed, format="s16", layout=track.layout.name)
            block.sample_rate, block.pts, block.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
            container.mux(track.encode(block))
            container.mux(track.encode())
    return path


def heard_hz(path: Path, choice: TrackChoice | None = None) -> list[int]:
    """Returns the strongest frequency of each channel, 0 for silence."""
    blocks = [block for _, block in reader.stream_channels(path, choice=choice)]
    found = []
    for channel in np.concatenate(blocks, axis=1):
        spectrum = np.abs(np.fft.rfft(channel))
        found.append(round(np.argmax(spectrum) * RATE_HZ / len(channel)) if spectrum.max() > 1 else 0)
    return found


STEREO_300, STEREO_700 = tone(300, channels=2), tone(700, channels=2)
SILENCE = np.zeros_like(STEREO_300)
CHOSEN = {
    "first": ((STEREO_300, MAIN, {}), (STEREO_700, NONE, {}), [300, 300], "the first one was taken; --audio_track"),
    "default": ((STEREO_300, NONE, {}), (STEREO_700, MAIN, {}), [700, 700], "track 1 is not the default one"),
    "comment": (
        (STEREO_300, MAIN | Disposition.comment, {}),
        (STEREO_700, NONE, {}),
        [700, 700],
        "track 1 is marked as a commentary",
    ),
    "described": (
        (STEREO_300, MAIN | Disposition.visual_impaired, {}),
        (STEREO_700, NONE, {}),
        [700, 700],
        "track 1 is marked as a commentary",
    ),
    "title": (
        (STEREO_300, MAIN, {"title": "Director's commentary"}),
        (STEREO_700, MAIN, {}),
        [700, 700],
        "track 1 is marked as a commentary",
    ),
    "silent": ((SILENCE, MAIN, {}), (STEREO_700, NONE, {}), [700, 700], "track 1 is silent"),
    "all silent": ((SILENCE, MAIN, {}), (SILENCE, NONE, {}), [0, 0], "the first one was taken"),
    "two channels": (
        (tone(300), MAIN, {}),
        (tone(700), MAIN, {}),
        [300, 700],
        "the mono tracks 1, 2 belong together",
    ),
    "languages": (
        (tone(300), MAIN, {"language": "eng"}),
        (tone(700), NONE, {"language": "fra"}),
        [300],
        "the first one was taken",
    ),
    "titles": ((tone(300), MAIN, {"title": "Left"}), (tone(700), MAIN, {"title": "Right"}), [300, 700], "together"),
    "one microphone": ((tone(300, level=0.0), MAIN, {}), (tone(700), MAIN, {}), [700], "track 1 is silent"),
    "alternatives": ((tone(300), NONE, {}), (tone(700), MAIN, {}), [700], "track 1 is not the default one"),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_track_that_a_person_hears_is_taken(tmp_path, name):
    *sounds, expected, sentence = CHOSEN[name]
    path = write(tmp_path / "a.mkv", *sounds)
    assert heard_hz(path) == expected
    remarks = reader.probe(path).remarks
    assert list(remarks) == ["tracks of sound"]
    assert remarks["tracks of sound"].startswith("The file has 2 tracks of sound; ")
    assert sentence in remarks["tracks of sound"]


def test_mono_tracks_are_mixed_like_channels(tmp_path):
    path = write(tmp_path / "a.mov", (tone(300), MAIN, {}), (tone(700), MAIN, {}))
    downmix = Downmix(RATE_HZ)
    mixed = np.concatenate([*(downmix.add(block) for _, block in reader.stream_channels(path)), downmix.finish()])
    np.testing.assert_allclose(reader.read_audio(path, RATE_HZ), mixed, atol=1e-6)


def test_tracks_are_chosen_by_hand(tmp_path):
    path = write(tmp_path / "a.mkv", (STEREO_300, MAIN, {}), (STEREO_700, Disposition.comment, {}))
    for number, expected in ((1, 300), (2, 700)):
        choice = TrackChoice(audio=number)
        assert heard_hz(path, choice) == [expected] * 2
        assert reader.probe(path, choice).remarks == {}
    for choice, sentence in (
        (TrackChoice(audio=3), "has 2 audio tracks, and --audio_track=3 is none of them; choose another"),
        (TrackChoice(video=2), "has 1 video tracks, and --video_track=2 is none of them; choose another"),
    ):
        with pytest.raises(MediaError, match=sentence) as caught:
            reader.probe(path, choice)
        assert caught.value.reason == "no such track"


def test_a_picture_without_a_flag_is_cover_art(tmp_path):
    path = write(tmp_path / "a.mov", (STEREO_300, MAIN, {}), cover=True)
    header = reader.probe(path)
    assert (header.streams, header.picture_px, header.remarks) == ((1, 1), (48, 64), {})
    shown = [picture.mean() for picture in reader.read_frames(path, [0.0, 1.0], 48)]
    assert shown == pytest.approx([60, 110], abs=4)
    # By hand, it can be chosen.
    (red,) = reader.read_frames(path, [0.0], 48, choice=TrackChoice(video=1), whole=False)
    assert red.mean(axis=(0, 1)) == pytest.approx([250, 0, 0], abs=4)


def test_preparation_takes_the_same_track_and_says_it(tmp_path):
    path = write(tmp_path / "a.mkv", (STEREO_300, MAIN | Disposition.comment, {}), (STEREO_700, MAIN, {}))
    cut = CutSpec(rate_hz=RATE_HZ, fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
    for number, audio_track in enumerate((None, 2, 1)):
        (folder := tmp_path / str(number)).mkdir()
        chosen = CutSpec(**{**vars(cut), "audio_track": audio_track})
        facts = stage_video(Video("a", path, "x"), chosen, folder)
        assert facts.reason is None
        assert ("tracks of sound" in facts.remarks) is (audio_track is None)
        (staged,) = folder.glob("*.sound")
        wave = np.fromfile(staged, np.int16)
        assert np.argmax(np.abs(np.fft.rfft(wave))) * RATE_HZ / len(wave) == pytest.approx(
            300 if audio_track == 1 else 700, abs=1
        )
    facts = stage_video(Video("a", path, "x"), CutSpec(**{**vars(cut), "audio_track": 9}), tmp_path)
    assert facts.reason == "no such track" and "choose another" in facts.message


def test_a_track_of_another_length_is_silent_after_its_end(tmp_path):
    whole, half = iter([((), np.ones((1, 5)))] * 2), iter([((), np.ones((1, 3)))])
    blocks = list(reader._side_by_side([whole, half]))
    assert [block.shape[1] for block in blocks] == [3, 2, 5]
    assert np.concatenate(blocks, axis=1).sum(axis=1).tolist() == [10, 3]
    assert list(itertools.chain(reader._side_by_side([iter([]), iter([])]))) == []
