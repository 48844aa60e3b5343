"""The short-time Fourier transform inside the pipeline, equal to librosa's."""

from data_pipeline.spec import AudioSpec
from data_pipeline.tf_cpu import tf


def stft(waveform: tf.Tensor, audio: AudioSpec) -> tf.Tensor:
    """Centred short-time Fourier transform with a periodic Hann window.

    Args:
        waveform: float32 (..., clip_samples).
        audio: sizes of window, hop and padding.

    Returns:
        complex64 (..., freq_bins, time_frames), as `librosa.stft(center=True)` to 1e-4.

    Raises:
        ValueError: the waveform's static length is not `clip_samples`.
    """
    samples = waveform.shape[-1]
    if samples != audio.clip_samples:
        raise ValueError(f"waveform has {samples} samples, the spectrogram is set up for {audio.clip_samples}")
    half = audio.fft_samples // 2
    widths = [[0, 0]] * (waveform.shape.rank - 1) + [[half, half]]
    padded = tf.pad(waveform, widths, mode="REFLECT" if audio.pad_mode == "reflect" else "CONSTANT")
    columns = tf.signal.stft(
        padded,
        frame_length=audio.fft_samples,
        frame_step=audio.hop_samples,
        fft_length=audio.fft_samples,
        window_fn=_periodic_hann,
    )
    spectrum = tf.linalg.matrix_transpose(columns)
    return tf.ensure_shape(spectrum, (*waveform.shape[:-1], audio.freq_bins, audio.time_frames))


def _periodic_hann(samples: int, dtype: tf.DType) -> tf.Tensor:
    return tf.signal.hann_window(samples, periodic=True, dtype=dtype)
