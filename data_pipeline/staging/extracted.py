"""Reads audio files and folders of images that were extracted from videos earlier, in the same way as a video."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.media.downmix import Downmix
from data_pipeline.media.reader import MediaError, Trace
from data_pipeline.media.upright import scaled_size
from data_pipeline.sources import FrameFolder

_BLOCK_SAMPLES = 1 << 16


def stream_array(path: Path, rate_hz: int, trace: Trace) -> Iterator[np.ndarray]:
    """Reads a NumPy file of samples block by block.

    Args:
        path: `.npy` of (samples,), (channels, samples) or (samples, channels), real or integer. It does not contain its
            sample rate, so it must have been made at `rate_hz`.
        rate_hz: Sample rate.
        trace: Receives the length.

    Yields:
        float32 (samples,), the downmix of the channels; integers are scaled to full scale 1.

    Raises:
        MediaError: The file does not exist or holds no array of samples.
    """
    try:
        samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise MediaError("not found", f"{path} is not there; check the path") from None
    except (OSError, ValueError) as error:
        raise MediaError("cannot be decoded", f"{path} holds no NumPy array ({error}); write it again") from None
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu" or not samples.size:
        raise MediaError(
            "cannot be decoded",
            f"{path} holds {samples.dtype} of shape {samples.shape}, and a sound is (samples,) or (channels, samples)",
        )
    if samples.ndim == 1:
        samples = samples[None]
    elif samples.shape[0] > samples.shape[1]:
        samples = samples.T
    scale = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max) + 1.0
    offset = scale / 2 if samples.dtype.kind == "u" else 0.0
    downmix = Downmix(rate_hz)
    for first in range(0, samples.shape[1], _BLOCK_SAMPLES):
        block = (samples[:, first : first + _BLOCK_SAMPLES].astype(np.float64) - offset) / (scale - offset)
        yield downmix.add(np.nan_to_num(block, posinf=1.0, neginf=-1.0).astype(np.float32))
    yield downmix.finish()
    trace.start_s, trace.rate_hz, trace.end_s = 0.0, rate_hz, samples.shape[1] / rate_hz
    trace.offset, trace.rescued_db = downmix.offset, downmix.rescued_db


def read_pictures(
    frames: FrameFolder, times_s: np.ndarray, short_side_px: int, trace: Trace
) -> Iterator[np.ndarray | bytes]:
    """Reads the extracted images shown at given times, one after another.

    Args:
        frames: The folder, whose images are counted from 1.
        times_s: Seconds from the first image, in ascending order.
        short_side_px: Shorter side of the returned images.
        trace: Receives the number of images and their end.

    Yields:
        The JPEG file itself when it has the right size, else uint8 (height, width, 3). An image that is needed twice is
        the same object.

    Raises:
        MediaError: An image is missing or cannot be decoded.
    """
    trace.start_s, trace.end_s, trace.pictures = 0.0, frames.count / frames.fps, frames.count
    trace.least_s = trace.most_s = 1 / frames.fps
    number, picture = -1, b""
    for wanted in np.clip(np.floor(times_s * frames.fps + 1e-6).astype(int), 0, frames.count - 1):
        if wanted != number:
            number, picture = wanted, _picture(frames.folder / f"{wanted + 1:06d}.jpg", short_side_px)
        yield picture


def _picture(path: Path, short_side_px: int) -> np.ndarray | bytes:
    try:
        encoded = path.read_bytes()
        with Image.open(io.BytesIO(encoded), formats=["JPEG"]) as image:
            scale = short_side_px / min(image.size)
            if scale == 1 and image.mode == "RGB":
                image.load()  # raises an error for a truncated file
                return encoded
            width, height = scaled_size(*image.size, short_side_px)
            image.draft("RGB", (width, height))  # decodes large images at 1/2, 1/4 or 1/8 of their size
            kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
            return np.asarray(image.convert("RGB").resize((width, height), kind))
    except MediaError:  # too narrow
        raise
    except FileNotFoundError:
        raise MediaError("pictures missing", f"{path} is not there, but the list counts it; extract it again") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError("cannot be decoded", f"{path} is no JPEG picture ({error}); extract it again") from None
