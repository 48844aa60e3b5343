"""Runs commands in forks of a process that has imported the libraries, which saves the seconds of importing them."""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.repository import ROOT

TIMEOUT_SECONDS = 280
# The libraries alone and none of our commands, which are read again for each call. None of them starts a device.
_LIBRARIES = ("jax", "flax.linen", "optax", "orbax.checkpoint", "tensorflow", "mpnet_jax.methods.mpnet")
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(list(_LIBRARIES))


def run(program: str | Path, arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Runs a program to its end and returns its exit status and output, like `subprocess.run`.

    Unlike a process of its own it calls no function of `atexit`, and it must not be killed. Variables that JAX or
    TensorFlow read when they are imported have no effect.

    Args:
        program: A module to run as `python -m`, or the path of a script.
        arguments: Its arguments.
        variables: Environment variables that it gets besides those of this process.
    """
    with tempfile.NamedTemporaryFile() as output:
        environment = dict(os.environ | variables)
        process = _SERVER.Process(target=_become, args=(program, list(arguments), environment, output.name))
        process.start()
        process.join(TIMEOUT_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{program} runs for more than {TIMEOUT_SECONDS} s: {_text(output.name)}")
        return process.exitcode, _text(output.name)


def _become(program: str | Path, arguments: list[str], environment: Mapping[str, str], output: str) -> None:
    """Turns this process into the program, with its output in a file."""
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = [str(program), *arguments]
    if isinstance(program, Path):
        sys.path.insert(0, str(program.parent))
        runpy.run_path(str(program), run_name="__main__")
    else:
        sys.path.insert(0, str(ROOT))
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
