"""Videos after public bug reports of other programs, prepared together; docs/CASES.md says which reports."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data_pipeline.media import reader
from data_pipeline.sources import Place, Video, folder
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_video import Facts, stage_video, staged_facts
from tests.support.odd_videos import halves, tone, write

CUT = CutSpec(rate_hz=8000, fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)


def staged(path: Path) -> Facts:
    """Stages one video as `prepare` does."""
    (path.parent / "staged").mkdir(exist_ok=True)
    return stage_video(Video("a", path, "violin"), CUT, path.parent / "staged")


def colours(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the colours in the middle of the left and of the right half of the frame at 1 s."""
    image = next(reader.read_frames(path, [1.0], 24))
    middle, width = image.shape[0] // 2, image.shape[1]
    return image[middle, width // 4], image[middle, 3 * width // 4]


def opaque(alpha: int) -> list[np.ndarray]:
    """Returns frames with an alpha channel of one value."""
    return [np.dstack([halves(), np.full((48, 64), alpha, np.uint8)])] * 30


FORMATS = {
    "odd_size.mkv": {"images": [halves(47, 63)] * 30, "video": ("libx264", "yuv444p")},
    "ten_bit.mkv": {"video": ("ffv1", "yuv420p10le")},
    "full_range.mkv": {"video": ("mjpeg", "yuvj420p")},
    "interlaced.mkv": {"video": ("mpeg2video", "yuv422p"), "video_options": {"flags": "+ildct+ilme"}},
    "half_transparent.mov": {"video": ("png", "rgba"), "images": opaque(128), "image_format": "rgba"},
    "transparent.mov": {"video": ("qtrle", "argb"), "images": opaque(0), "image_format": "rgba"},
    "two_pixels.mkv": {"images": [halves(2, 2)] * 30, "video": ("ffv1", "yuv444p")},
    "tall.mkv": {"images": [halves(2048, 8)] * 30, "video": ("ffv1", "yuv420p")},
}


@pytest.mark.parametrize("name", FORMATS)
def test_unusual_frames_keep_their_colours_and_shape(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **FORMATS[name])
    assert staged(path).reason is None
    left, right = colours(path)
    np.testing.assert_allclose(left, (200, 30, 30), atol=4)  # 4:2:0 and lossy codecs change colours by less
    np.testing.assert_allclose(right, (30, 30, 200), atol=4)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("space", "red", "blue"), [(5, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)])
@pytest.mark.parametrize("bits", [8, 10])
def test_colours_of_every_matrix_and_range(
    tmp_path: Path, space: int, red: float, blue: float, full: bool, bits: int
) -> None:
    colour = np.array([200, 100, 30]) / 255
    luma = red * colour[0] + (1 - red - blue) * colour[1] + blue * colour[2]
    chroma = np.array([(colour[2] - luma) / (2 * (1 - blue)), (colour[0] - luma) / (2 * (1 - red))])
    scale, most = 2 ** (bits - 8), 2**bits - 1
    values = [luma * most, *(chroma * most + 128 * scale)] if full else [
        scale * (16 + 219 * luma), *(scale * (128 + 224 * chroma))
    ]  # fmt: skip
    path, dtype = tmp_path / "a.mkv", np.uint16 if bits == 10 else np.uint8
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le" if bits == 10 else "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        frame = av.VideoFrame(64, 48, stream.pix_fmt)
        frame.colorspace, frame.color_range, frame.pts, frame.time_base = space, 2 if full else 1, 0, Fraction(1, 10)
        for plane, value in zip(frame.planes, values, strict=True):
            plane.update(np.full(plane.buffer_size // dtype().itemsize, round(value), dtype).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shown = next(reader.read_frames(path, [0.0], 48))[24, 32]
    np.testing.assert_allclose(shown, (200, 100, 30), atol=4)


@pytest.mark.parametrize(("rate_hz", "remark"), [(100, "low sample rate"), (44_056, None), (192_000, None)])
def test_unusual_sample_rates(tmp_path: Path, rate_hz: int, remark: str | None) -> None:
    hz = 20.0 if rate_hz == 100 else 440.0
    sound = np.rint(32767 * tone(hz=hz, rate_hz=rate_hz)[None]).astype(np.int16)
    path = write(tmp_path / "a.mkv", rate_hz=rate_hz, sound=sound)
    facts = staged(path)
    assert facts.reason is None and facts.seconds == pytest.approx(3.0, abs=0.02)
    assert facts.video_rms == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert remark is None or remark in facts.remarks
    heard = reader.read_audio(path, 8000)[8000:16_000]
    assert np.argmax(np.abs(np.fft.rfft(heard))) == hz  # one second, so bins are 1 Hz


@pytest.mark.parametrize(
    ("audio", "scale"), [(("pcm_s24le", "s32"), 2.0**31), (("pcm_u8", "u8"), 2.0**7), (("pcm_f64le", "dbl"), 1.0)]
)
def test_unusual_sample_formats(tmp_path: Path, audio: tuple[str, str], scale: float) -> None:
    dtype = {"s32": np.int32, "u8": np.uint8, "dbl": np.float64}[audio[1]]
    sound = (tone()[None] * scale + (128 if dtype is np.uint8 else 0)).astype(dtype)
    heard = reader.read_audio(write(tmp_path / "a.mkv", audio=audio, sound=sound), 8000)
    np.testing.assert_allclose(heard[100:-100], tone()[100:-100], atol=1 / 128 if dtype is np.uint8 else 1e-4)


@pytest.mark.parametrize("gain", [8.0, 32_768.0, 1e30])
def test_samples_above_full_scale_are_clipped_and_measured_as_they_are_stored(tmp_path: Path, gain: float) -> None:
    sound = (gain * tone()[None]).astype(np.float32)
    facts = staged(write(tmp_path / "a.mkv", audio=("pcm_f32le", "flt"), sound=sound))
    assert facts.reason is None and "clipped" in facts.remarks
    # Samples beyond 1e12 are cut off, and then the mean of a tone is no longer zero beside full scale.
    assert ("offset" in facts.remarks) == (gain > 1e12)
    stored = np.fromfile(next((tmp_path / "staged").glob("*.sound")), np.int16) / 32_768
    assert facts.video_rms == pytest.approx(np.sqrt(np.mean(stored**2)), rel=1e-3)


def test_frames_too_narrow_to_store_are_one_skipped_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", images=[halves(2, 8000)] * 30, video=("ffv1", "yuv444p"))
    facts = staged(path)
    assert facts.reason == "too narrow"
    assert "8000 x 2 pixels would become 96000 x 24" in facts.message and facts.message.endswith("crop the video")


def test_an_encrypted_video_is_one_sentence(tmp_path: Path) -> None:
    key = {"encryption_key": "0" * 31 + "1", "encryption_kid": "0" * 31 + "2"}
    path = write(
        tmp_path / "a.mp4",
        audio=("aac", "fltp"),
        rate_hz=44_100,
        sound=tone(rate_hz=44_100)[None].astype(np.float32),
        container_options={"encryption_scheme": "cenc-aes-ctr", **key},
    )
    facts = staged(path)
    # The random initial vector of the encryption decides how much of the sound looks like AAC.
    assert facts.reason in ("cannot be decoded", "truncated") and "\n" not in facts.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<!DOCTYPE html><html><body>Sign in to confirm</body></html>" * 10, "not a video"),
        ("1\n00:00:00,000 --> 00:00:02,000\nhello\n", "no picture"),
    ],
)
def test_a_web_page_or_subtitles_under_the_name_of_a_video(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.mp4").write_text(content)
    assert staged(tmp_path / "a.mp4").reason == reason


def test_a_sound_with_hardly_any_frames_is_one_sentence(tmp_path: Path) -> None:
    facts = staged(write(tmp_path / "a.mp4", images=[halves()] * 2, audio=("aac", "fltp"), video_options={"bf": "0"},
                         sound=tone()[None].astype(np.float32)))  # fmt: skip
    assert facts.reason == "picture too short"


def test_names_that_macos_decomposes_give_the_same_ids_and_classes(tmp_path: Path) -> None:
    composed, decomposed = "fl\u00fbte", "flu\u0302te"
    for number, name in enumerate((composed, decomposed)):
        file = tmp_path / name / f"{name}_{number}.mp4"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / composed / f"{decomposed}_0.mp4").touch()
    listing = folder.find_videos(Place(tmp_path))
    assert [(video.id, video.label) for video in listing.videos] == [
        (f"{composed}/{composed}_{number}", composed) for number in (0, 1)
    ]
    assert [entry.reason for entry in listing.skipped.values()] == ["another file has its id"]


def test_white_space_around_a_class_makes_no_other_class(tmp_path: Path) -> None:
    for name in ("violin", "violin ", " ", "\u00a0cello"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{len(name)}.mp4").touch()
    labels = {video.label for video in folder.find_videos(Place(tmp_path)).videos}
    assert labels == {"violin", "cello", "unlabelled"}


@pytest.mark.parametrize("suffix", [".sound", ".pictures", ".npz", ".json"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_staged_files_that_a_power_failure_cut_off_are_made_again(tmp_path: Path, suffix: str, part: float) -> None:
    path = write(tmp_path / "a.mkv")
    facts = staged(path)
    video, folder_ = Video("a", path, "violin"), tmp_path / "staged"
    assert staged_facts(video, folder_) == facts
    (file,) = folder_.glob(f"*{suffix}")
    file.write_bytes(file.read_bytes()[: round(part * file.stat().st_size)])
    assert staged_facts(video, folder_) is None
    assert staged(path) == facts == staged_facts(video, folder_)
