import pytest

from data_pipeline.spec import AudioSpec, FrameSpec


@pytest.mark.parametrize(
    ("sizes", "freq", "time", "seconds"),
    [
        ((16_000, 95_800, 1500, 375), 751, 256, 5.9875),
        ((11_025, 127 * 256, 1022, 256), 512, 128, 2.94893),
        ((8000, 4001, 256, 64), 129, 63, 0.500125),
    ],
)
def test_derived_sizes(sizes, freq, time, seconds):
    audio = AudioSpec(*sizes)
    assert (audio.freq_bins, audio.time_frames) == (freq, time)
    assert audio.clip_seconds == pytest.approx(seconds, abs=1e-5)
    assert audio.pad_mode == "reflect"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_mode": "edge"}, "pad_mode='edge' is unknown; use 'reflect' or 'constant'"),
        ({"rate_hz": 0}, "rate_hz=0 must be positive"),
        ({"clip_samples": -5}, "clip_samples=-5 must be positive"),
        ({"fft_samples": 0}, "fft_samples=0 must be positive"),
        ({"hop_samples": 0}, "hop_samples=0 must be positive"),
        ({"fft_samples": 255}, "fft_samples=255 must be even; try 256"),
        ({"hop_samples": 129}, "hop_samples=129 must be at most half of fft_samples=256"),
        ({"clip_samples": 128}, "clip_samples=128 must exceed fft_samples / 2 = 128"),
    ],
)
def test_sizes_that_make_no_spectrogram(change, message):
    good = {"rate_hz": 8000, "clip_samples": 4000, "fft_samples": 256, "hop_samples": 64}
    AudioSpec(**good)
    with pytest.raises(ValueError, match=message):
        AudioSpec(**(good | change))


@pytest.mark.parametrize(("count", "crop_px"), [(0, 32), (1, 0)])
def test_no_pictures(count, crop_px):
    with pytest.raises(ValueError, match=f"count={count} and crop_px={crop_px} must be at least 1"):
        FrameSpec(count, crop_px)
