import numpy as np
import pytest

from data_pipeline.sources import Video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.quality import PictureCheck, SoundCheck
from data_pipeline.staging.staged_video import stage_video

CUT = CutSpec(rate_hz=11025, fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)


def staged(tmp_path, path):
    return stage_video(Video("a", path, "violin"), CUT, tmp_path)


def sine(seconds=3.0, level=0.3, tone_hz=440.0, rate_hz=44100):
    return level * np.sin(2 * np.pi * tone_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def test_levels_do_not_depend_on_the_blocks():
    sound = np.random.default_rng(0).normal(0.1, 0.2, 30_000).astype(np.float32)
    sound[5000:8000] = 0.0
    whole, pieces = SoundCheck(), SoundCheck()
    whole.add(sound)
    for piece in np.split(sound, [100, 7000, 29_000]):
        pieces.add(piece)
    assert whole.rms == pytest.approx(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    assert whole.muted == pytest.approx(0.1, abs=1e-3)
    assert (pieces.rms, pieces.muted) == (pytest.approx(whole.rms), whole.muted)
    assert pieces.digest == whole.digest
    sound[0] += 1e-3
    other = SoundCheck()
    other.add(sound)
    assert other.digest != whole.digest


def test_bandwidth_is_where_nothing_lies_above():
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=1 << 16))
    spectrum[round(len(spectrum) * 2000 / 5512) :] = 0
    check = SoundCheck()
    check.add(np.fft.irfft(spectrum).astype(np.float32)[:22_050])
    assert check.highest_hz(11025) == pytest.approx(2000, rel=0.05)
    assert SoundCheck().highest_hz(11025) == 0.0


def test_pictures_that_stay_are_counted():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    check = PictureCheck()
    for picture in (first, None, first.copy(), 255 - first):
        check.add(picture)
    assert (check.pictures, check.still) == (4, 2)


def test_a_plain_video_gives_no_remark(tmp_path, write_video):
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 3 * 44100))
    facts = staged(tmp_path, write_video(tmp_path / "a.mp4", seconds=3, sound=noise))
    assert (facts.reason, facts.remarks) == (None, {})


@pytest.mark.parametrize(
    ("kind", "sentence", "video"),
    [
        ("clipped", "of the samples are at full scale", {"sound": np.clip(sine(level=3.0), -1, 1)}),
        ("offset", "a constant of +0.200 of full scale was removed", {"sound": sine() + 0.2}),
        ("quiet", "the level is -45 dB", {"level": 0.008}),
        ("partly muted", "of the sound is digital silence", {"sound": sine() * (np.arange(132_300) < 88_200)}),
        ("low sample rate", "recorded at 8000 Hz, stored at 11025 Hz", {"rate_hz": 8000}),
        ("narrow band", "says 44100 Hz, but nothing lies above 5", {"tone_hz": 400.0}),
        ("late start", "the sound starts at 0.50 s, the picture at 0.00 s", {"sound_delay_s": 0.5}),
        ("turned", "set upright", {"rotation": 90}),
        ("frozen picture", "never changes", {"pictures": [np.full((48, 64, 3), 90, np.uint8)] * 30}),
        ("few pictures", "1.0 pictures a second, 4 are stored", {"times_ms": [0, 1000, 2000]}),
        (
            "unsteady picture rate",
            "from 40 to 900 ms from one picture to the next",
            {"times_ms": [0, 40, 80, 300, 600, 1500, 2000, 2500]},
        ),
        ("uneven ends", "the sound ends at 3.0 s, the picture at 1.5 s", {"times_ms": list(range(0, 1500, 100))}),
        ("uneven ends", "the sound ends at 3.0 s, the picture at 6.0 s", {"times_ms": list(range(0, 6000, 100))}),
    ],
)
def test_what_is_unusual_is_remarked(tmp_path, write_video, kind, sentence, video):
    if "sound" in video:
        video["sound"] = np.stack([video["sound"]] * 2)
    if "times_ms" in video:
        rng = np.random.default_rng(0)
        video["pictures"] = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in video["times_ms"]]
    # Pulse-code modulation keeps levels exactly.
    facts = staged(tmp_path, write_video(tmp_path / "a.mov", seconds=3, **video))
    assert facts.reason is None
    assert sentence in facts.remarks[kind]


def test_sound_without_pictures_is_left_out(tmp_path, write_video):
    pictures = [np.full((48, 64, 3), level, np.uint8) for level in range(0, 250, 10)]
    path = write_video(tmp_path / "a.mp4", seconds=9, pictures=pictures)
    facts = staged(tmp_path, path)
    assert facts.seconds == pytest.approx(2.5, abs=0.2)
    assert facts.chunks == 1
    one = write_video(tmp_path / "b.mp4", seconds=9, pictures=pictures[:1])
    facts = staged(tmp_path, one)
    assert facts.reason == "picture too short"
    assert "b.mp4 end after 0.1" in facts.message
    assert not list(tmp_path.glob("*.sound"))[1:]


def test_a_muted_video_is_not_merely_quiet(tmp_path, write_video):
    facts = staged(tmp_path, write_video(tmp_path / "a.mp4", seconds=3, level=0.0))
    assert facts.reason == "muted"
