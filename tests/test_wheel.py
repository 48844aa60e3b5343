"""Tests of the package as users have it: without the packages of training, and installed outside of the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.repository import ROOT

# Packages of the extra `train`.
TRAINING = ("tensorflow", "tensorflow_datasets", "librosa", "skimage", "tensorboard", "pretty_midi")
HOOK = f"""
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])

sys.meta_path.insert(0, Forbidden())
"""


def python(program: str, *arguments: str, cwd: Path = ROOT, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program without the packages of training, in a folder and with a folder of packages."""
    return subprocess.run(
        [sys.executable, "-c", HOOK + program, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        encoding="utf-8",
        timeout=280,
    )


COMMAND = """
import sys
from mpnet_jax.__main__ import main
sys.argv[0] = "mpnet-jax"
main()
"""


def test_the_base_commands_need_no_package_of_training() -> None:
    done = python("import mpnet_jax, mpnet_jax.separate, mpnet_jax.export; mpnet_jax.Separator, mpnet_jax.Separation")
    assert done.returncode == 0, done.stderr
    for name in ("tensorflow", "librosa"):
        assert python(f"import {name}").returncode == 1


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("mpnet_jax", "data_pipeline", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    command = ["-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--quiet", f"--wheel-dir={folder}"]
    done = subprocess.run([sys.executable, *command], cwd=folder / "source", capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A working folder with a package `configs` that must not be imported."""
    (tmp_path / "configs").mkdir()
    for name in ("__init__.py", "base.py", "quickstart.py"):
        (tmp_path / "configs" / name).write_text("raise RuntimeError('the configs of the user were imported')\n")
    return tmp_path


@pytest.mark.slow
def test_the_wheel_has_no_package_but_its_own(site: Path) -> None:
    names = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"mpnet_jax", "data_pipeline"}
    for name in ("configs/quickstart.py", "py.typed", "pretrained/small.safetensors", "pretrained/small.json"):
        assert (site / "mpnet_jax" / name).is_file(), name


@pytest.mark.slow
@pytest.mark.e2e
def test_the_wheel_separates_a_video_without_the_packages_of_training(site: Path, hostile: Path, write_video) -> None:
    video = write_video(hostile / "a.mp4", seconds=1.0)
    program = COMMAND.replace(
        "main()", f"import mpnet_jax\nassert mpnet_jax.__file__.startswith({str(site)!r})\nmain()"
    )
    options = ("-o", "out", "--novideos", "--names=none", "--sounds=1")
    done = python(program, "separate", video.name, *options, cwd=hostile, path=site)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (hostile / "out").iterdir()}
    assert names == {"sound1.wav", "residual.wav", "separation.json", "index.html"}


@pytest.mark.slow
def test_the_wheel_finds_its_configs_by_name(site: Path, hostile: Path) -> None:
    program = """
import sys
from absl import flags
from mpnet_jax.config import check
check.define_flag(None)
flags.FLAGS(["train", "--config=quickstart"])
print(check.from_flags().name)
"""
    done = python(program, cwd=hostile, path=site)
    assert (done.returncode, done.stdout) == (0, "quickstart\n"), done.stderr
