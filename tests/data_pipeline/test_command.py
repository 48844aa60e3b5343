import errno
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline import command
from data_pipeline.command import EXIT_BAD_INPUT, InputError, _is_for_the_user, explain, fail
from tests.support.repository import ROOT

BASH = shutil.which("bash")
PROGRAM = """
import errno
from absl import flags, logging
from data_pipeline.command import InputError, StopSignal, run

flags.DEFINE_integer("number", 1, "a number")

def main():
    {body}

if __name__ == "__main__":
    run(main)
"""


def run_program(body, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body), *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        encoding=variables.get("PYTHONIOENCODING"),
        timeout=60,
        check=False,
    )


def test_fail_writes_one_sentence_and_exits_with_two(capsys):
    with pytest.raises(SystemExit) as stopped:
        fail("batch_size=3 must divide by 2 devices; try 2")
    assert stopped.value.code == EXIT_BAD_INPUT == 2
    assert capsys.readouterr().err == "error: batch_size=3 must divide by 2 devices; try 2\n"


@pytest.mark.parametrize(
    ("path", "level", "shown"),
    [
        (ROOT / "mpnet_jax/train.py", logging.INFO, True),
        (ROOT / ".venv/lib/python3.12/site-packages/jax/library.py", logging.INFO, False),
        (ROOT / ".venv/lib/python3.12/site-packages/jax/library.py", logging.WARNING, True),
        (Path("/usr/lib/python3/orbax/library.py"), logging.WARNING, False),
    ],
)
def test_libraries_are_heard_only_when_they_warn(path, level, shown):
    record = logging.LogRecord("name", level, str(path), 1, "message", (), None)
    assert _is_for_the_user(record) is shown


def test_bad_input_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_a_command_that_works_exits_with_zero():
    done = run_program('print("number", flags.FLAGS.number)', "--number=7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "number 7\n", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('raise InputError("name the folder")', "error: name the folder\n"),
        (
            'raise OSError(errno.ENOSPC, "No space left on device", "out.wav")',
            "error: cannot write out.wav: No space left on device; free space or choose another folder\n",
        ),
    ],
)
def test_a_user_s_mistake_is_one_line_and_status_two(body, message):
    done = run_program(body)
    assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.EPERM, "free space or choose another folder"),
        (errno.EIO, "check the disk or choose another folder"),
        *((number, "choose another folder") for number in (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)),
        *((number, "choose another folder") for number in (errno.EBUSY, errno.EFBIG)),
    ],
)
def test_what_the_machine_refuses_is_one_line(number, way_out):
    assert explain(OSError(number, "Why", "out")) == (f"error: cannot write out: Why; {way_out}\n", 2)


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--numbr=3", ("numbr",)), ("--number=x", ("number", "x")), ("stray", ("stray", "--flag=value"))],
)
def test_wrong_flags_are_one_line_and_status_two(argument, words):
    done = run_program("pass", argument)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_a_locale_without_a_character_prints_its_escape_sequence():
    body = 'import sys; sys.stdout.write("gr\\u00f6\\u00dfer \\u2191 \\udcff\\n")'
    done = run_program(body, PYTHONIOENCODING="latin-1", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "größer \\u2191 ÿ\n"  # a byte of a file name remains what it is


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize("name", [b"gr\xf6\xdfe", b"a\nb\t'c'\\d", "größe $x".encode(), b"\xff1"])
def test_a_printed_command_can_be_pasted_whatever_the_names(name):
    line = command.command_line("a.b", f"--out={os.fsdecode(name)}")
    assert not any("\udc80" <= character <= "\udcff" for character in line)
    argument = line.removeprefix("python -m a.b ")
    shown = subprocess.run([BASH, "-c", f"printf %s {argument}"], capture_output=True, check=True)
    assert shown.stdout == b"--out=" + name


@pytest.mark.parametrize("body", ['raise RuntimeError("a bug")', f'raise OSError({errno.ENOENT}, "gone", "x")'])
def test_a_bug_keeps_its_traceback(body):
    done = run_program(body)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "in main" in done.stderr


@pytest.mark.parametrize(("raised", "status"), [("KeyboardInterrupt", 130), ("StopSignal(15)", 143)])
def test_an_interrupt_says_how_to_go_on(raised, status):
    done = run_program(f"raise {raised}")
    assert (done.returncode, done.stderr) == (
        status,
        "interrupted; the same command resumes where this one stopped\n",
    )
