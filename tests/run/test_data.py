"""Tests of a run's data: the cache of decoded frames, and the check that the records are unchanged."""

import json
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from mpnet_jax.config.specs import data_spec
from mpnet_jax.configs import base, music_mix2, vegas_mix3
from mpnet_jax.run.data import RECORDS, note_records, open_splits, picture_cache


def test_an_unusable_cache_folder_is_refused_before_a_data_set_is_opened(tmp_path: Path) -> None:
    config = base.get_config()
    config.data.picture_cache_dir = "/nowhere"
    with pytest.raises(InputError, match=r"config\.data\.picture_cache_dir='/nowhere' cannot hold the picture cache"):
        open_splits(data_spec(config), ("train", "validation"), keep_pictures=True)  # the data set is missing too
    config.data.directory = str(tmp_path)
    with pytest.raises(InputError, match="no data set at"):
        open_splits(data_spec(config), ("train", "validation"))


def test_a_cache_larger_than_the_memory_is_refused() -> None:
    config = music_mix2.get_config()
    config.data.picture_cache_dir = ""
    config.data.picture_cache_gib = 1e6
    with pytest.raises(InputError, match=r"picture_cache_gib=1e\+06 is more than this machine's memory of \d+ GiB"):
        picture_cache(data_spec(config))


@pytest.mark.parametrize("config", [music_mix2.get_config(), vegas_mix3.get_config()])
def test_the_papers_configs_cache_frames_in_the_folder_of_their_data(config, tmp_path: Path) -> None:
    assert config.data.picture_cache_dir == "data"
    config.data.directory = str(tmp_path)
    assert config.data.picture_cache_dir == str(tmp_path)
    picture_cache(data_spec(config))
    config.data.picture_cache_dir = str(tmp_path / "missing")
    assert config.data.directory == str(tmp_path)
    with pytest.raises(InputError, match="missing' cannot hold the picture cache"):
        picture_cache(data_spec(config))


def test_a_run_saves_the_hash_of_its_records_and_refuses_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = base.get_config()
    monkeypatch.setattr("mpnet_jax.run.data._records_hash", lambda stores: stores["hash"])
    note_records(data_spec(config), tmp_path, {"hash": "a"})
    note_records(data_spec(config), tmp_path, {"hash": "a"})
    assert json.loads((tmp_path / RECORDS).read_text()) == {"name": "rendered_solos", "sha256": "a"}
    with pytest.raises(
        InputError, match="holds a run on other records of rendered_solos; prepare the data set as it was"
    ):
        note_records(data_spec(config), tmp_path, {"hash": "b"})
