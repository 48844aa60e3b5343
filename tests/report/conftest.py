import json

import numpy as np
import pytest

from mpnet_jax.report.example import ReportExample
from mpnet_jax.report.sections.places import PlaceExample


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


@pytest.fixture
def make_place():
    def make(**changes):
        heat = np.zeros((4, 5))
        heat[1, 3] = 2.0
        fields = {
            "title": "Flute",
            "frame": np.full((32, 40, 3), 128, np.uint8),
            "heat": heat,
            "box": (0.1, 0.5, 0.6, 0.9),
            "hit": True,
            "note": "",
        }
        return PlaceExample(**(fields | changes))

    return make


@pytest.fixture
def rich_summary(summary):
    names = ("nsdr", "sdr", "sir", "sar", "amid")

    def values(mean):
        return {name: estimate(mean + place) for place, name in enumerate(names)}

    mode = {
        "epsilon_relative": 0.05,
        "accuracy": estimate(0.75),
        "constant": {"guess": 2, "accuracy": estimate(0.25)},
        "by_count": [{"sounding": count, "accuracy": estimate(0.5)} for count in range(6)],
        "confusion": [[8 if true == counted else true % 2 for counted in range(7)] for true in range(6)],
        "curve": [[0.001, 0.2], [0.05, 0.8], [0.5, 0.4]],
        "noise": [{"level_dbfs": -40.0, "counted": [9, 1, 0, 0, 0, 0, 0]}],
    }
    guesses = {name: {"pointing": estimate(0.7), "iou": estimate(0.4)} for name in ("energy map", "centre")}
    return summary | {
        "methods": {"mnet": values(5.0), "mpnet": values(6.0)},
        "differences": {"mpnet - mnet": values(0.2), "mpnet - pixelplayer": values(1.0)},
        "mixes": {
            str(count): {
                "mpnet": values(9.0 - count),
                "mnet": values(8.0 - count),
                "mixture": {"sdr": estimate(-1.0 * count), "sar": estimate(150.0)},
                "oracle": values(20.0),
            }
            for count in (2, 3, 4, 5)
        },
        "counting": {"tuned_on": "validation", "clips": mode, "pixels": mode | {"noise": []}},
        "localisation": [
            {"scene": "one player", "scenes": 50, "box_share": {"mean": 0.2, "max": 0.3}, "guesses": guesses},
            {"scene": "two players", "scenes": 50, "guesses": guesses | {"random": {"player": estimate(0.5)}}},
        ],
    }


@pytest.fixture
def make_run(tmp_path):
    def make(name, results, *, report=True):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(results if isinstance(results, str) else json.dumps(results))
        if report:
            (folder / "report").mkdir()
            (folder / "report" / "index.html").write_text("x")
        return str(folder)

    return make
