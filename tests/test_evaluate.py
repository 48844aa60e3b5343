"""Tests of the evaluation command: its results, how it resumes, and that batch size and workers change no number."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.prepare import Options, prepare
from data_pipeline.sources import Place
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division
from mpnet_jax import evaluate
from mpnet_jax.evaluation import scores
from mpnet_jax.evaluation.options import EvaluationOptions, open_stores, parse_mixes
from mpnet_jax.methods.registry import method_of
from mpnet_jax.train import train
from tests.conftest import TINY, TINY_CLASSES
from tests.support.tiny_run import tiny_config
from tests.support.tiny_videos import write_video

PIXELPLAYER = {"method": "pixelplayer", "rounds.minus": 0, "rounds.plus": 0, "rounds.both": 2}
BOX = [0.25, 0.1, 0.75, 0.35]


def evaluation_config(data_dir: Path):
    config = tiny_config(data_dir)
    fields = {
        "rounds.minus": 2,
        "rounds.plus": 1,
        "evaluation.mixtures": 5,
        "evaluation.other_mixtures": 3,
        "evaluation.counting.mixtures": 8,
        "evaluation.counting.clips": 4,
        "evaluation.places.name": "places",
        "evaluation.places.frame_px": 48,
        "evaluation.places.mixtures": 5,
        "evaluation.far.name": "far",
        "evaluation.far.mixtures": 4,
    }
    config.update_from_flattened_dict(fields)
    return config


@pytest.fixture(scope="module")
def data_dir(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the tiny data set and one of scenes with known boxes."""
    root = tmp_path_factory.mktemp("places")
    for label, tone_hz in TINY_CLASSES.items():
        path = root / "videos" / label / f"{label}.mp4"
        write_video(path, seconds=2.0, tone_hz=tone_hz, rate_hz=16000)
        path.with_suffix(".json").write_text(json.dumps({"boxes": [BOX] * 20, "fps": 10}))
    cut = CutSpec(rate_hz=TINY["rate_hz"], fps=TINY["fps"], frame_px=48, chunk_seconds=3.0, min_seconds=0.5)
    prepare(
        Options(
            "folder", Place(root / "videos"), root / "data", "places", cut, workers=1, division=Division(split="test")
        )
    )
    for name in ("tiny", "far"):
        (root / "data" / name).symlink_to(tiny_set / "tiny")
    return root / "data"


@pytest.fixture(scope="module")
def workdir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    assert train(evaluation_config(data_dir), workdir) == 0
    return workdir


@pytest.fixture(scope="module")
def complete(data_dir: Path, workdir: Path) -> dict:
    """The results of an evaluation with all options."""
    everything = EvaluationOptions("test", mixes=(2, 3), counting=True, localisation=True, far=True)
    return evaluate.evaluate(evaluation_config(data_dir), workdir, everything)


@pytest.mark.slow
def test_writes_what_it_returns(complete: dict, workdir: Path) -> None:
    assert json.loads((workdir / "metrics.json").read_text()) == complete
    assert list(complete["methods"]) == ["mnet", "mpnet"]
    assert json.loads((workdir / "data.json").read_text())["sha256"] == complete["run"]["data_sha256"]
    assert list(complete["differences"]) == ["mpnet - mnet"]
    assert list(complete["mixes"]) == ["2", "3"]
    assert complete["mixes"]["2"]["mpnet"]["nsdr"] == complete["nsdr"]
    assert complete["mixes"]["3"]["mixture"]["sdr"]["count"] == 3
    assert complete["run"]["method"] == "MP-Net" and len(complete["run"]["mixtures_sha256"]) == 64
    page = (workdir / "report" / "index.html").read_text()
    for word in ("Robustness", "Counting", "Localisation", "Far from what was trained on"):
        assert word in page


@pytest.mark.slow
def test_a_mean_is_the_mean_of_the_listed_mixtures(complete: dict) -> None:
    lists = complete["by_mixture"]
    assert list(lists) == ["mix2", "mix3", "far_mix2"]
    assert [len(listed["video_ids"]) for listed in lists.values()] == [5, 3, 4]
    means = {"mix2": complete["methods"], "mix3": complete["mixes"]["3"], "far_mix2": complete["far"]["methods"]}
    for name, listed in lists.items():
        assert list(listed["methods"]) == ["mnet", "mpnet"]
        for method, values in listed["methods"].items():
            # AMID takes half of the time, and is computed only for the number of sounds in training.
            assert list(values) == ["sdr", "sir", "sar", "nsdr", *(() if name == "mix3" else ("amid",))]
            for metric in ("nsdr", "amid") if name != "mix3" else ("nsdr",):
                valid = [value for value in values[metric] if value is not None]
                assert np.mean(valid) == pytest.approx(means[name][method][metric]["mean"], abs=1e-3)
        assert list(listed["beside"]) == ["mixture", "oracle", "swapped"]
    counted = complete["counting"]["clips"]["counted"]
    right = np.equal(counted, complete["counting"]["by_mixture"]["sounding"])
    assert complete["counting"]["clips"]["accuracy"]["mean"] == np.mean(right)


@pytest.mark.slow
def test_counts_with_clips_and_with_places_as_candidates(complete: dict, workdir: Path) -> None:
    for mode in ("clips", "pixels"):
        counts = complete["counting"][mode]
        assert np.sum(counts["confusion"]) == 8
        assert [row["sounding"] for row in counts["by_count"]] == [0, 1, 2, 3]
        assert counts["by_count"][0]["accuracy"]["mean"] == 1.0  # silence has no sounds
        assert counts["noise"][-1]["counted"][0] == 8  # nor has noise below the level of silence
    lists = {path.stem for path in (workdir / "mixtures").glob("*.json")}
    assert lists >= {"test_counting", "validation_epsilon"}


@pytest.mark.slow
def test_localises_in_scenes_with_one_and_two_players(complete: dict) -> None:
    one, two = complete["localisation"]
    assert (one["scene"], two["scene"]) == ("one player", "two players")
    # Of frames of 64 x 48, the central square of 48 cuts off an eighth on the left.
    assert one["box_share"]["max"] == pytest.approx(0.15, abs=0.01)
    assert two["box_share"]["max"] == pytest.approx(0.075, abs=0.01)
    assert one["guesses"]["centre"]["pointing"]["mean"] == 0.0
    for scene in (one, two):
        values = [value for value in scene["by_mixture"]["methods"]["energy map"]["auc"] if value is not None]
        assert np.mean(values) == pytest.approx(scene["guesses"]["energy map"]["auc"]["mean"])


@pytest.mark.slow
def test_no_mixture_is_scored_twice(
    complete: dict, data_dir: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[object] = []
    original = scores.score

    def recording(mixtures, **options):
        for result in original(mixtures, **options):
            computed.append(result)
            yield result

    monkeypatch.setattr(scores, "score", recording)
    (log,) = (workdir / "scores").glob("test_mix2-*.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:3]) + lines[3][:10])  # interrupted at the third mixture
    again = evaluate.evaluate(evaluation_config(data_dir), workdir, EvaluationOptions("test"))
    assert len(computed) == 3
    assert again["mixtures"] == complete["mixtures"]
    assert again["methods"] == complete["methods"]
    for part in ("counting", "mixes", "far", "by_mixture"):
        assert again[part] == complete[part]  # kept without their flags
    assert sorted(log.read_text().splitlines()) == sorted(line.rstrip("\n") for line in lines)


@pytest.mark.slow
def test_numbers_do_not_depend_on_batch_size_and_workers(
    complete: dict, data_dir: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((workdir / "scores").glob("test_mix2-*.jsonl")).unlink()
    config = evaluation_config(data_dir)
    config.evaluation.batch_size = 3
    monkeypatch.setattr("mpnet_jax.evaluation.evaluator.usable_cores", lambda: 1)
    other = evaluate.evaluate(config, workdir, EvaluationOptions("test", counting=True))
    assert other["mixtures"] == complete["mixtures"]
    assert other["methods"] == complete["methods"]
    assert other["counting"] == complete["counting"]


@pytest.mark.slow
def test_another_split_has_a_folder_of_its_own(complete: dict, data_dir: Path, workdir: Path) -> None:
    evaluate.evaluate(evaluation_config(data_dir), workdir, EvaluationOptions("validation", "latest"))
    assert json.loads((workdir / "validation" / "metrics.json").read_text())["run"]["split"] == "validation"
    assert json.loads((workdir / "metrics.json").read_text())["run"]["split"] == "test"


@pytest.mark.parametrize("given", [["two"], ["2", "0"], ["9"], ["1"], ["2.5"]])
def test_wrong_numbers_of_sounds_are_refused_in_one_sentence(given: list[str]) -> None:
    with pytest.raises(InputError, match="must be numbers of sounds from 2 to 8; try --mix=2,3,4,5"):
        parse_mixes(given)


def test_numbers_of_sounds() -> None:
    assert parse_mixes([]) == ()
    assert parse_mixes(["5", "2", "2"]) == (2, 5)


@pytest.mark.parametrize(
    ("fields", "options", "sentence"),
    [
        (PIXELPLAYER, {"counting": True}, "--counting needs the recursion, and config.method=pixelplayer"),
        (PIXELPLAYER, {"localisation": True}, "--localisation needs the recursion"),
        ({}, {"split": "validation", "counting": True}, "--counting chooses epsilon on the validation split"),
        ({}, {"split": "train", "localisation": True}, "--localisation has scenes for the test split alone"),
        ({}, {"mixes": (2, 5)}, "--mix=5 on test needs 5 classes that are long enough, the split has 4"),
        ({"evaluation.counting.clips": 6}, {"counting": True}, "config.evaluation.counting.clips=6 on test needs 6"),
        (
            {"evaluation.places.name": "nowhere"},
            {"localisation": True},
            "`make quickstart-report` renders and prepares",
        ),
        (
            {"evaluation.places.frame_px": 50},
            {"localisation": True},
            "was prepared with frame_px=48, and the run asks for 50",
        ),
        ({}, {"split": "train", "far": True}, "--far is a test set, not for --split=train"),
        ({"evaluation.far.name": "nowhere"}, {"far": True}, "--far needs the data set"),
        ({"evaluation.far.name": "places"}, {"far": True}, "was prepared with frame_px=48, and the run asks for 40"),
    ],
)
def test_options_that_do_not_fit_are_refused(data_dir: Path, fields: dict, options: dict, sentence: str) -> None:
    config = evaluation_config(data_dir)
    config.update_from_flattened_dict(fields)
    with pytest.raises(InputError) as refused:
        open_stores(method_of(config), EvaluationOptions(**{"split": "test"} | options))
    assert sentence in str(refused.value)


def test_results_with_other_definitions_are_not_kept(tmp_path: Path) -> None:
    run = {"networks": {}, "bss": "fft", "mixtures_sha256": "a"}
    before = {"run": run, "definitions": {"NSDR": "without silent estimates", "localisation": "l"}, "far": 1}
    (tmp_path / "metrics.json").write_text(json.dumps(before))
    out = {"run": run, "definitions": {"NSDR": "a silent estimate is 0"}, "by_mixture": {}}
    evaluate._keep_earlier(tmp_path, out)
    assert "far" not in out
    out["definitions"] = {"NSDR": "without silent estimates"}
    evaluate._keep_earlier(tmp_path, out)
    assert out["far"] == 1
