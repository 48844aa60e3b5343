import numpy as np
import pytest

from mpnet_jax.report.example import ReportExample


def estimate(mean, count=4):
    return {"mean": mean, "ci95": [mean - 0.5, mean + 0.5], "count": count}


@pytest.fixture
def make_example():
    def make(sources=2, **changes):
        rng = np.random.default_rng(0)
        freq, time, samples = 24, 20, 4000
        spectrogram = rng.gamma(0.5, 2.0, (sources, freq, time)).astype(np.float32)
        waveform = (0.1 * rng.standard_normal((sources, samples))).astype(np.float32)
        mask = spectrogram / spectrogram.sum(axis=0)
        fields = {
            "title": "Best: mixture 17",
            "classes": ["cello", "flute", "tuba"][:sources],
            "video_ids": ["a1", "b2", "c3"][:sources],
            "frames": rng.integers(0, 256, (sources, 32, 40, 3), dtype=np.uint8),
            "rate_hz": 8000,
            "mixture_waveform": waveform.sum(axis=0),
            "separated_waveform": 0.5 * waveform,
            "true_waveform": waveform,
            "mixture_spectrogram": spectrogram.sum(axis=0),
            "separated_spectrogram": spectrogram * 0.5,
            "true_spectrogram": spectrogram,
            "mask": mask,
            "true_mask": mask > 0.5,
            "row_hz": np.geomspace(50.0, 4000.0, freq),
            "hop_seconds": 0.025,
            "scores": [{"sdr": 5.0, "sir": 9.5, "sar": None, "nsdr": -1.25}] * sources,
        }
        return ReportExample(**(fields | changes))

    return make


@pytest.fixture
def summary():
    return {
        "nsdr": estimate(5.5),
        "sdr": estimate(6.0),
        "sir": estimate(11.0),
        "sar": estimate(12.0),
        "amid": estimate(14.0),
        "mixture": {
            "sdr": estimate(0.5),
            "sir": estimate(0.6),
            "sar": estimate(40.0),
            "amid": estimate(30.0),
        },
        "oracle": {"nsdr": estimate(10.0), "sdr": estimate(10.5), "amid": estimate(7.0)},
        "swapped": {"nsdr": estimate(-2.0), "sdr": estimate(-1.5)},
        "left_out": {"silent reference": 2},
        "definitions": {"AMID": "lower is better"},
        "run": {
            "config": "configs/a.py",
            "method": "MP-Net",
            "steps": 100,
            "seed": 0,
            "commit": "0123456789abcdef",
        },
        "mixtures": [
            {
                "index": index,
                "video_ids": [f"v{index}", "w"],
                "classes": ["flute", "cello" if index else "tuba"],
                "nsdr": [nsdr, nsdr + 1.0] if nsdr is not None else [None, 2.0],
                "sdr": [1.0, 2.0],
                "sir": [3.0, 4.0],
                "sar": [5.0, 6.0],
                "mixture_sdr": [0.5, 0.5],
                "amid": 12.0,
            }
            for index, nsdr in enumerate([3.0, None, -4.0, 7.0])
        ],
        "history": {
            "loss": [[0, 0.7], [10, 0.5], [20, float("nan")]],
            "si_sdr_improvement": [[0, 0.0], [20, 5.0]],
        },
    }
