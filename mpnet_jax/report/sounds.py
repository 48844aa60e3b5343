"""Waveforms as WAV files of one common gain."""

import io
import wave
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

# A little below full scale, for players that resample.
_PEAK = 0.97


def common_gain(waveforms: Iterable[Float[np.ndarray, "..."]]) -> float:
    """The gain which brings the loudest sample of all to just below full scale; 1 when all are silent."""
    peak = max((float(np.max(np.abs(np.nan_to_num(waveform)))) for waveform in waveforms), default=0.0)
    return _PEAK / peak if peak > 0.0 else 1.0


def wav_bytes(waveform: Float[np.ndarray, " samples"], rate_hz: int, *, gain: float) -> bytes:
    """Writes 16-bit mono WAV; samples that are not finite become silence.

    Args:
        waveform: (samples,), clipped to -1..1 after the gain.
        rate_hz: sample rate.
        gain: linear.

    Returns:
        A whole WAV file.
    """
    finite = np.nan_to_num(waveform.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    samples = np.round(32767.0 * np.clip(gain * finite, -1.0, 1.0)).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.tobytes())
    return stream.getvalue()
