import io

import numpy as np
import pytest
from PIL import Image

from data_pipeline.media.reader import MediaError, Trace
from data_pipeline.sources import FrameFolder, Video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.extracted import read_pictures, stream_array
from data_pipeline.staging.staged_video import stage_video, staged_chunks

CUT = CutSpec(rate_hz=8000, fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
WAVE = (0.4 * np.sin(2 * np.pi * 300 * np.arange(24_000) / 8000)).astype(np.float32)


def frames(folder, count=24, size=(32, 24)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, (10 * number, 100, 100)).save(folder / f"{number + 1:06d}.jpg", quality=95)
    return FrameFolder(folder, count, 8.0)


@pytest.mark.parametrize(
    "stored",
    [
        WAVE,
        np.stack([WAVE * 2, WAVE * 0]),
        np.stack([WAVE, WAVE], axis=1),
        (WAVE * 32768).astype(np.int16),
    ],
)
def test_arrays_are_mono_sound(tmp_path, stored):
    np.save(tmp_path / "a.npy", stored)
    trace = Trace()
    sound = np.concatenate(list(stream_array(tmp_path / "a.npy", 8000, trace)))
    np.testing.assert_allclose(sound, WAVE, atol=1 / 32768)
    assert trace.end_s == 3.0


@pytest.mark.parametrize("stored", [np.zeros((2, 2, 2)), np.zeros(0), np.array(["a"]), np.array([{}], object)])
def test_other_arrays_are_refused(tmp_path, stored):
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(MediaError, match=r"a\.npy holds"):
        list(stream_array(tmp_path / "a.npy", 8000, Trace()))


def test_pictures_are_chosen_by_time_and_kept_as_they_are(tmp_path):
    folder = frames(tmp_path / "a")
    first, same, later, last = read_pictures(folder, np.array([0.0, 0.12, 1.0, 9.0]), 24, Trace())
    assert first == (tmp_path / "a" / "000001.jpg").read_bytes()
    assert same is first
    assert later == (tmp_path / "a" / "000009.jpg").read_bytes()
    assert last == (tmp_path / "a" / "000024.jpg").read_bytes()


def test_large_pictures_are_made_smaller(tmp_path):
    folder = frames(tmp_path / "a", size=(640, 481))
    (picture,) = read_pictures(folder, np.array([0.5]), 24, Trace())
    assert picture.shape == (24, 32, 3)
    np.testing.assert_allclose(picture.mean((0, 1)), [40, 100, 100], atol=3)


def test_a_picture_that_is_missing_or_damaged_is_named(tmp_path):
    folder = frames(tmp_path / "a")
    (tmp_path / "a" / "000003.jpg").unlink()
    damaged = tmp_path / "a" / "000009.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(MediaError, match=r"000003\.jpg is not there, but the list counts it"):
        list(read_pictures(folder, np.array([0.25]), 24, Trace()))
    with pytest.raises(MediaError, match=r"000009\.jpg is no JPEG picture"):
        list(read_pictures(folder, np.array([1.0]), 24, Trace()))


def test_a_sound_file_and_its_pictures_are_staged(tmp_path):
    np.save(tmp_path / "a.npy", WAVE)
    video = Video("a", tmp_path / "a.npy", "violin", pictures=frames(tmp_path / "a"))
    facts = stage_video(video, CUT, tmp_path)
    assert (facts.reason, facts.chunks, facts.seconds) == (None, 2, 3.0)
    first, second = staged_chunks(facts, tmp_path)
    np.testing.assert_allclose(np.concatenate([first["audio"], second["audio"]]) / 32768, WAVE, atol=1e-4)
    red = [np.asarray(Image.open(io.BytesIO(frame.getvalue())))[..., 0].mean() for frame in second["frames"]]
    np.testing.assert_allclose(red, [160, 180, 200, 220], atol=4)  # every second image from the seventeenth
