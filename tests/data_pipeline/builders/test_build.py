import importlib.util
import json
import os
import subprocess
import sys

import pytest

from data_pipeline.records.store import RecordStore
from tests.support.repository import ROOT

SET = "data_pipeline/builders/tfds_sets/video_folder.py"
CONFIG = {"name": "tiny", "classes": ["cello"], "fps": 4, "frame_px": 24, "chunk_seconds": 2, "min_seconds": 1}
# TFDS's program without the packages that it imports and does not need for these sets.
BUILD = """
from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils
app.run(lambda arguments: arguments.execute(), flags_parser=cli_utils.make_flags_parser(build.Args, ""))
"""
has_tfds_program = all(importlib.util.find_spec(name) for name in ("apache_beam", "mlcroissant"))
needs_tfds_program = pytest.mark.skipif(not has_tfds_program, reason="needs the extra `beam`")


def with_beam(*options: str):
    return pytest.param(
        (sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build"), options, marks=needs_tfds_program
    )


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "options"),
    [
        ((sys.executable, "-c", BUILD), ()),
        with_beam(),
        with_beam("--beam_pipeline_options=runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"),
        with_beam("--beam_pipeline_options=direct_num_workers=2,direct_running_mode=multi_processing"),
    ],
)
def test_tfds_build_makes_a_set_that_training_reads(tmp_path, write_video, program, options):
    videos, data_dir = tmp_path / "videos", tmp_path / "data"
    for number in range(3):
        write_video(videos / "cello" / f"{number}.mp4", seconds=3)
    arguments = (f"--manual_dir={videos}", f"--data_dir={data_dir}", f"--config={json.dumps(CONFIG)}")
    made = subprocess.run(
        [*program, SET, *arguments, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert made.returncode == 0, made.stderr
    splits = ("train", "validation", "test")
    assert sum(len(RecordStore.open(data_dir, "video_folder/tiny", split)) for split in splits) == 6
