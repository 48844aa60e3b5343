"""Tests that a workdir belongs to one config."""

import json
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax.config import saved_config
from mpnet_jax.config.check import flatten
from mpnet_jax.configs import base


def test_a_workdir_belongs_to_one_config(tmp_path: Path) -> None:
    workdir = tmp_path / "runs" / "one"
    saved_config.claim_workdir(workdir, base.get_config())
    same = base.get_config()
    same.log_every = 7  # changes what is logged, not what is computed
    same.evaluation.mixtures = 10
    saved_config.claim_workdir(workdir, same)
    other = base.get_config()
    other.optimiser.learning_rate = 0.5
    with pytest.raises(InputError, match=r"config\.optimiser\.learning_rate=0\.001, this one has 0\.5; choose"):
        saved_config.claim_workdir(workdir, other)


def test_a_field_that_a_recorded_config_lacks_has_its_default(tmp_path: Path) -> None:
    saved_config.claim_workdir(tmp_path / "run", base.get_config())
    path = tmp_path / "run" / "config.json"
    recorded = json.loads(path.read_text())
    del recorded["mixing.gain_scale"]
    path.write_text(json.dumps(recorded))
    saved_config.claim_workdir(tmp_path / "run", base.get_config())
    other = base.get_config()
    other.mixing.gain_scale = "decibels"
    with pytest.raises(InputError, match=r"config\.mixing\.gain_scale='linear', this one has 'decibels'"):
        saved_config.claim_workdir(tmp_path / "run", other)


def test_a_workdir_that_is_a_file_or_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        saved_config.claim_workdir(tmp_path / "file", base.get_config())
    for content in (b"{", b"[1]", b"\xff\xfe"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(InputError, match=r"config\.json is not readable .*; restore it"):
            saved_config.claim_workdir(tmp_path, base.get_config())


def test_fields_of_a_comparison_are_left_out(tmp_path: Path) -> None:
    recorded = flatten(base.get_config()) | {"compare.start.steps": 2000, "compare.seeds": [7], "seed": 3}
    config = saved_config.restored(recorded, tmp_path / "config.json")
    assert config.seed == 3 and config.compare == base.get_config().compare
