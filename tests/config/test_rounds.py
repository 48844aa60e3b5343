"""Tests of the three rounds of training: their plan and a run through them."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.config.rounds import Round, plan_rounds, round_of
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.methods.registry import method_of
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.log import LOSSES, read_lines
from mpnet_jax.train import train
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config

KINDS = MinusPlus.kinds


def test_rounds_follow_each_other():
    rounds = plan_rounds({"minus": 5, "plus": 2, "both": 3}, KINDS)
    assert rounds == (
        Round("minus", 0, 5, ("frame_net", "minus_net"), "mnet"),
        Round("plus", 5, 2, ("plus_net",), "mpnet"),
        Round("both", 7, 3, ("frame_net", "minus_net", "plus_net"), "mpnet"),
    )
    assert [round_of(rounds, step).name for step in (0, 1, 5, 6, 7, 8, 10)] == [
        *["minus"] * 3,
        *["plus"] * 2,
        *["both"] * 2,
    ]


def test_a_round_of_0_steps_is_skipped():
    assert plan_rounds({"minus": 0, "plus": 0, "both": 3}, KINDS) == (Round("both", 0, 3, *KINDS["both"]),)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [((0, 0, 0), "every one has 0 steps"), ((0, 2, 3), "rounds.plus needs a trained M-Net")],
)
def test_invalid_rounds_are_refused(steps, sentence):
    config = tiny_config(Path("nowhere"))
    config.rounds.minus, config.rounds.plus, config.rounds.both = steps
    with pytest.raises(InputError, match=sentence):
        method_of(config)


@pytest.fixture(scope="module")
def config(tiny_set):
    config = tiny_config(tiny_set)
    config.rounds.minus, config.rounds.plus, config.rounds.both = 2, 2, 2
    config.mask = "ratio"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        yield config


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    """The workdir of a run through all three rounds."""
    workdir = tmp_path_factory.mktemp("rounds") / "run"
    assert train(config, workdir) == 0
    return workdir


def restored(config, workdir, kind):
    checkpoints = Checkpoints(workdir)
    step = checkpoints.step(kind)
    state = checkpoints.restore(method_of(config).state_at(step), kind=kind)
    checkpoints.close()
    return state


def test_a_run_goes_through_all_rounds(workdir):
    lines = read_lines(workdir / LOSSES)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert ["loss_plus" in line for line in lines] == [False, False, True, True, True, True]


@pytest.mark.slow
def test_a_run_resumes_bit_equal_between_two_rounds(config, workdir, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "checkpoints" / "latest" / "6")
    assert int(restored(config, copy, "latest").step) == 4  # the end of the second round
    assert train(config, copy) == 0
    assert read_lines(copy / LOSSES) == read_lines(workdir / LOSSES)
    for one, other in zip(
        jax.tree.leaves(restored(config, copy, "latest")),
        jax.tree.leaves(restored(config, workdir, "latest")),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_m_net_and_mp_net_are_both_evaluated(config, workdir, capsys):
    out = evaluate(config, workdir, EvaluationOptions("test"))
    assert list(out["methods"]) == ["mnet", "mpnet"]
    assert out["methods"]["mpnet"]["nsdr"] == out["nsdr"]
    assert out["methods"]["mnet"]["sdr"]["count"] == out["sdr"]["count"] == 6
    assert out["methods"]["mnet"]["sdr"] != out["sdr"]
    assert out["run"]["method"] == "MP-Net"
    assert json.loads((workdir / "metrics.json").read_text())["methods"] == out["methods"]
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()[1:3]] == ["M-Net", "MP-Net"]
