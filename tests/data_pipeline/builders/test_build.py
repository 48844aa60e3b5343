import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.records.store import RecordStore
from tests.support.repository import ROOT

SET = "data_pipeline/builders/tfds_sets/video_folder.py"
CONFIG = {"name": "tiny", "classes": ["cello"], "fps": 4, "frame_px": 24, "chunk_seconds": 2, "min_seconds": 1}
OURS = (sys.executable, "-m", "data_pipeline.builders.build")
TFDS = (sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build")
has_tfds_program = all(importlib.util.find_spec(name) for name in ("apache_beam", "mlcroissant"))
needs_tfds_program = pytest.mark.skipif(not has_tfds_program, reason="needs the extra `beam`")


@pytest.fixture
def videos(tmp_path, write_video):
    for number in range(3):
        write_video(tmp_path / "videos" / "cello" / f"{number}.mp4", seconds=3)
    return tmp_path / "videos"


def run_build(program, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=250,
    )


def chunks_of_all_splits(data_dir: Path) -> int:
    return sum(len(RecordStore.open(data_dir, "video_folder/tiny", split)) for split in ("train", "validation", "test"))


@pytest.mark.e2e
@pytest.mark.slow
def test_the_command_makes_a_set_that_training_reads(tmp_path, videos):
    arguments = (f"--manual_dir={videos}", f"--data_dir={tmp_path / 'data'}", f"--config={json.dumps(CONFIG)}")
    made = run_build(OURS, SET, *arguments)
    assert made.returncode == 0, made.stderr
    assert chunks_of_all_splits(tmp_path / "data") == 6


@pytest.mark.e2e
def test_a_set_can_be_named_instead_and_bad_input_is_one_sentence(tmp_path, videos):
    result = run_build(
        OURS,
        "video_folder/paper",
        "--imports=data_pipeline.builders.tfds_sets.video_folder",
        f"--manual_dir={videos}",
        f"--data_dir={tmp_path}",
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: videos of the class cello are there, and the classes of")
    assert "Traceback" not in result.stderr


@pytest.mark.e2e
@pytest.mark.slow
@needs_tfds_program
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--beam_pipeline_options=runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",),
        ("--beam_pipeline_options=direct_num_workers=2,direct_running_mode=multi_processing",),
    ],
)
def test_the_program_tfds_makes_the_same(tmp_path, videos, options):
    arguments = (f"--manual_dir={videos}", f"--data_dir={tmp_path / 'data'}", f"--config={json.dumps(CONFIG)}")
    made = run_build(TFDS, SET, *arguments, *options)
    assert made.returncode == 0, made.stderr
    assert chunks_of_all_splits(tmp_path / "data") == 6
