"""Tests of the package as users have it: without the packages of training, and installed outside of the checkout."""

import os
import re
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


def test_the_base_commands_need_no_package_of_training() -> None:
    done = python("import mpnet_jax, mpnet_jax.separate, mpnet_jax.export; mpnet_jax.Separator, mpnet_jax.Separation")
    assert done.returncode == 0, done.stderr
    for name in ("tensorflow", "librosa"):
        assert python(f"import {name}").returncode == 1


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
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
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """A folder with the unpacked wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder of the programs of a new environment, into which pip installed the wheel and what it needs."""
    folder = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    reached = subprocess.run(
        [*pip, "download", "--no-deps", "absl-py", f"--dest={wheel.parent / 'probe'}"], capture_output=True, text=True
    )
    if reached.returncode:
        pytest.skip(f"pip reaches no package index: {reached.stderr.strip().splitlines()[-1:]}")
    done = subprocess.run([*pip, "install", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def bare(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program outside of the checkout and without its paths."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=600)


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
    files = ("configs/quickstart.py", "py.typed", "pretrained/small.safetensors", "pretrained/small.json")
    files += ("pretrained/models.json", "report/mixer.css", "separation/page.js", "separation/in_step.js")
    for name in files:
        assert (site / "mpnet_jax" / name).is_file(), name


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_an_installed_wheel_separates_a_video(installed: Path, hostile: Path, write_video) -> None:
    video = write_video(hostile / "concert.mp4", seconds=1.0)
    absent = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, ('tensorflow', 'configs'))))"
    assert bare(installed / "python", "-I", "-c", absent, cwd=hostile).returncode == 0
    done = bare(installed / "mpnet-jax", "separate", video.name, "-o", "out", "--sounds=1", cwd=hostile)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (hostile / "out").iterdir()}
    assert names == {
        "sound1.wav", "sound1.mp4", "overview.mp4", "residual.wav", "separation.json", "index.html"
    }  # fmt: skip
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    done = bare(installed / "python", "-c", f"{lines}\nprint(left.shape == here.shape, left.any())", cwd=hostile)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
    done = bare(installed / "mpnet-jax", "train", "--config=quickstart", "--workdir=run", cwd=hostile)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "no data set at" in done.stderr, done.stderr


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
