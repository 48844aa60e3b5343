"""Tests of what all commands do with paths: `~` is expanded in every flag and field, and no such flag was forgotten."""

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.command import InputError, command_line, expanded
from mpnet_jax.config import check
from mpnet_jax.configs import base
from tests.support.repository import ROOT

# Flags and config fields of text that is no path. A new one must be added here or be defined as a path.
TEXT_FLAGS = {
    *("allocator", "area", "batches", "beam_options", "cells", "coordinator", "frames", "group", "host", "instruments"),
    *(
        "label",
        "minutes",
        "mix",
        "name",
        "only",
        "parts",
        "pattern",
        "place",
        "rounds",
        "seeds",
        "sizes",
        "sources",
        "trial",
        "variant",
        "without",
    ),
}
TEXT_FIELDS = {
    "model.plus_inputs",
    *("name", "data.name", "evaluation.far.name", "evaluation.places.name", "method", "compare.ablations.setting"),
}
AWKWARD = ("a b", "it's", 'say "x"', "two\nlines", "-x", "--out", "$HOME", "*", "~", "a\\b", "x" * 255, "")


def flags_of(*functions: str) -> dict[str, str]:
    """Returns the names of flags that commands define by some functions, and where."""
    found = {}
    for package in ("mpnet_jax", "data_pipeline", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == ROOT / "data_pipeline/command.py":  # defines these functions
                continue
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in functions:
                    name = ast.literal_eval(call.args[0]) if isinstance(call.args[0], ast.Constant) else "computed"
                    found[name] = f"{path.relative_to(ROOT)}:{call.lineno}"
    return found


def test_flags_that_are_no_paths_are_known() -> None:
    text = flags_of("DEFINE_string", "DEFINE_list", "DEFINE_multi_string", "DEFINE")
    assert text.keys() == TEXT_FLAGS, text
    assert not flags_of("define_path", "define_paths").keys() & TEXT_FLAGS
    assert flags_of("DEFINE_config_file").keys() == {"config"}
    (where,) = flags_of("DEFINE_config_file").values()
    assert where.startswith("mpnet_jax/config/check.py")


def test_config_fields_that_are_no_paths_are_known() -> None:
    text = {name for name, value in check.flatten(base.get_config()).items() if isinstance(value, str)}
    assert text - check.CHOICES.keys() - TEXT_FIELDS == set(check.PATH_FIELDS)


PROGRAM = """
import sys
from absl import flags
from data_pipeline import command

def main():
    print(repr([str(flags.FLAGS.one), flags.FLAGS.none, [str(path) for path in flags.FLAGS.several]]))

command.define_path("one", "~/default", "One path.")
command.define_path("none", None, "No path.")
command.define_paths("several", [], "Several paths.")
command.run(main)
"""
CONFIG_PROGRAM = """
from data_pipeline import command
from mpnet_jax.config import check

def main():
    config = check.from_flags()
    print(repr([config.data.directory, config.data.picture_cache_dir, config.start_from, check.given_flags()]))

check.define_flag("configs/base.py")
command.run(main)
"""


def run(program: str, *arguments: str, home: Path = Path("/home of/me")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_a_path_flag_expands_the_home_folder() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stdout) == (0, "['/home of/me/default', None, []]\n"), done.stderr
    done = run(PROGRAM, "--one=~", "--several=~/a,b,./~c")
    assert (done.returncode, done.stdout) == (0, "['/home of/me', None, ['/home of/me/a', 'b', '~c']]\n"), done.stderr


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "--one=~nobody-of-this-name/a",
            "'~nobody-of-this-name/a' names no home folder that is known; write the",
        ),
        ("--one=", "it names nothing; name a path, or leave the flag out"),
        ("--several=a,", "it names nothing; name a path, or leave the flag out"),
    ],
)
def test_a_path_flag_without_a_path_is_refused(argument: str, sentence: str) -> None:
    done = run(PROGRAM, argument)
    assert done.returncode == 2
    assert sentence in done.stderr and done.stderr.count("\n") == 1


def test_config_paths_expand_the_home_folder(tmp_path: Path) -> None:
    arguments = ["--config.data.directory=~/data", "--config.data.picture_cache_dir=~", "--config.start_from=a/~b"]
    done = run(CONFIG_PROGRAM, *arguments)
    given = ["--config=configs/base.py", *arguments]
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == ["/home of/me/data", "/home of/me", "a/~b", given]
    done = run(CONFIG_PROGRAM, "--config.data.directory=~nobody-of-this-name")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_the_config_file_may_lie_in_the_home_folder() -> None:
    done = run(CONFIG_PROGRAM, "--config=~/configs/base.py", home=ROOT)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout)[-1] == ["--config=~/configs/base.py"]


def test_an_unknown_home_folder_is_refused() -> None:
    with pytest.raises(InputError, match=r"write the whole path, or \./~nobody-of-this-name"):
        expanded("~nobody-of-this-name")


@pytest.mark.parametrize("text", AWKWARD)
def test_a_printed_command_can_be_pasted_into_a_shell(text: str) -> None:
    printed = command_line("package.module", f"--out={text}", text)
    wanted = ["-m", "package.module", f"--out={text}", text]
    assert shlex.split(printed) == ["python", *wanted]
    show = f"python() {{ printf '%s\\0' \"$@\"; }}; {printed}"
    shown = subprocess.run(["/bin/sh", "-c", show], capture_output=True, encoding="utf-8", check=True).stdout
    assert shown.split("\0")[:-1] == wanted
