"""Tests the dry runs and refusals of all launchers, and the commands of those for one machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launch_scripts import FLAGS, KUBERNETES, LAUNCH, TPU, after, calls_shown, run

PARTS = ("say_or_do.sh", "tpu_worker.sh")  # called by the others
SCRIPTS = sorted(path.name for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch") and path.name not in PARTS)
SHELLCHECK = Path(sys.executable).parent / "shellcheck"


@pytest.mark.parametrize("script", [*SCRIPTS, *PARTS])
def test_passes_shellcheck(script: str) -> None:
    if not SHELLCHECK.is_file():
        pytest.skip("shellcheck is not installed; pip install -e '.[dev]' installs it")
    checked = subprocess.run(
        [SHELLCHECK, "--external-sources", LAUNCH / script], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_stops_at_the_first_error_and_has_a_usage_comment(script: str) -> None:
    text = (LAUNCH / script).read_text()
    assert "\nset -euo pipefail\n" in text
    head = text[: text.index("set -euo pipefail")]
    assert "--dry_run" in head and head.count("\n#") > 8  # usage and every variable


def test_an_old_bash_is_refused_in_one_sentence(tmp_path: Path) -> None:
    # A script cannot set BASH_VERSINFO, so another variable replaces it.
    old = tmp_path / "say_or_do.sh"
    old.write_text((LAUNCH / "say_or_do.sh").read_text().replace("BASH_VERSINFO", "OLD"))
    for version, status in (("(3 2)", 2), ("(4 3)", 2), ("(4 4)", 0), ("(5 0)", 0)):
        done = subprocess.run(
            ["bash", "-c", f"OLD={version}; . {old}"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert ("is too old; take 4.4 or later" in done.stderr) == (status == 2)


def test_local_shows_one_command_per_process() -> None:
    calls = calls_shown(run("local.sh", "--dry_run", *FLAGS, PROCESSES="3", DEVICES="4", PORT="9000"))
    assert len(calls) == 3
    for index, call in enumerate(calls):
        assert "XLA_FLAGS=--xla_force_host_platform_device_count=4" in call
        assert after(call, "mpnet_jax.train") == [
            *FLAGS,
            "--distributed",
            "--coordinator=127.0.0.1:9000",
            f"--process_index={index}",
            "--process_count=3",
        ]


def test_local_restarts_all_after_a_lost_process(tmp_path: Path, programs) -> None:
    programs.answer("--process_index=0", statuses=(134, 134, 0))
    programs.answer("--process_index=1", statuses=(137, 134, 0))
    done = programs.run("local.sh", *FLAGS, PYTHON="python", RESTARTS="2")
    assert done.returncode == 0, done.stderr
    assert "a process was lost; all start again (2 of 2)" in done.stderr
    assert len(programs.calls()) == 6
    programs.answer("--distributed", statuses=(134,))
    assert programs.run("local.sh", PYTHON="python", RESTARTS="1").returncode == 134


@pytest.mark.parametrize("status", [1, 2])
def test_local_does_not_restart_after_an_error_in_one_process(status: int, programs) -> None:
    programs.answer("--process_index=0", statuses=(134,))
    programs.answer("--process_index=1", statuses=(status,))
    assert programs.run("local.sh", PYTHON="python").returncode == status
    assert len(programs.calls()) == 2


def test_gpu_shows_one_process_without_cpu_fallback() -> None:
    (call,) = calls_shown(run("gpu.sh", "--dry_run", *FLAGS, GPUS="0,3"))
    assert {"JAX_PLATFORMS=cuda", "CUDA_VISIBLE_DEVICES=0,3"} < set(call)
    assert after(call, "mpnet_jax.train") == list(FLAGS)


def test_gpu_trains(programs) -> None:
    assert programs.run("gpu.sh", *FLAGS, PYTHON="python").returncode == 0
    assert programs.calls() == [["nvidia-smi", "--list-gpus"], ["python", "-m", "mpnet_jax.train", *FLAGS]]


def test_gpu_refuses_a_machine_without_gpu(programs) -> None:
    programs.answer("nvidia-smi", statuses=(9,))
    refused = programs.run("gpu.sh", PYTHON="python")
    assert refused.returncode == 2
    assert "nvidia-smi finds no GPU on this machine; launch/local.sh trains on the CPU" in refused.stderr


@pytest.mark.parametrize(
    ("script", "variables", "step", "sentence"),
    [
        ("local.sh", {"PROCESSES": "two"}, (), "PROCESSES=two must be a whole number of at least 1"),
        ("local.sh", {"PROCESSES": "0"}, (), "PROCESSES=0 must be a whole number of at least 1"),
        ("gpu.sh", {"GPUS": "0;1"}, (), "GPUS=0;1 must be numbers such as 0,1"),
        ("gpu.sh", {"MEMORY_FRACTION": "90"}, (), "MEMORY_FRACTION=90 must lie between 0 and 1"),
        ("tpu_vm.sh", {}, ("run",), "NAME is missing; name the TPU"),
        ("tpu_vm.sh", {"NAME": "mpnet"}, ("run",), "ZONE is missing; say where"),
        ("tpu_vm.sh", TPU, ("start",), "step 'start' is unknown; use create, install"),
        ("tpu_vm.sh", TPU, (), "step '' is unknown; use create, install"),
        ("kubernetes.sh", {"CLAIM": "share"}, ("apply",), "IMAGE= must name a container image"),
        ("kubernetes.sh", KUBERNETES | {"NAME": "My run"}, ("apply",), "NAME=My run must be small letters"),
        ("kubernetes.sh", KUBERNETES | {"HOSTS": "1.5"}, ("apply",), "HOSTS=1.5 must be a whole number"),
        ("kubernetes.sh", KUBERNETES, ("start",), "step 'start' is unknown; use apply, compare, logs or delete"),
        ("kubernetes.sh", KUBERNETES | {"AT_ONCE": "0"}, ("compare",), "AT_ONCE=0 must be a whole number of at least"),
        ("kubernetes.sh", KUBERNETES, ("apply", "--a=1\n2"), "a flag holds a control character"),
    ],
)
def test_wrong_arguments_are_reported_in_one_sentence(script: str, variables: dict, step: tuple, sentence: str) -> None:
    refused = run(script, "--dry_run", *step, **variables)
    assert refused.returncode == 2, refused.stdout
    assert refused.stderr.startswith("error: ") and sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
