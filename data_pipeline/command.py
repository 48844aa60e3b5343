"""The shell around every command: bad input is one sentence on stderr and exit status 2.

`InputError` is raised when a file, flag, config field or machine (a full disk) of the user is at fault. Any other
exception that escapes a command is a bug and keeps its traceback.
"""

import codecs
import errno
import io
import logging as standard_logging
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging

flags.disclaim_key_flags()  # `--help` lists the flags that are defined below as those of the command
# Listed by name, because a virtual environment may lie within the checkout.
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = tuple(_ROOT / name for name in ("data_pipeline", "mpnet_jax", "benchmarks"))
EXIT_BAD_INPUT = 2
# Errors of the machine or of a path, which are not bugs, and their remedies.
_REMEDIES = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS), "free space or choose another folder"
)
_REMEDIES |= dict.fromkeys(
    (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EBUSY, errno.EFBIG), "choose another folder"
)
_REMEDIES[errno.EIO] = "check the disk or choose another folder"


class InputError(ValueError):
    """Input that cannot be used; the message names the value, the rule and the remedy in one sentence."""


class StopSignal(KeyboardInterrupt):
    """A signal that ends a command at once, as Ctrl-C does.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = int(number)


def run(main: Callable[..., None], argv: list[str] | None = None, *, arguments: bool = False) -> None:
    """Runs a command's `main` with parsed absl flags.

    Args:
        main: The command; it takes no arguments, because absl's flags are global.
        argv: Command line, beginning with the program's name; `sys.argv` when None.
        arguments: Whether arguments without a flag, such as names of files, are allowed between the flags; `main` then
            takes their list.

    Raises:
        SystemExit: Status 0 after success, 2 for bad input, 130 after Ctrl-C, 128 plus its number after another signal.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("printable", _printable)
        sys.stdout.reconfigure(errors="printable")
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    handler = logging.get_absl_handler()
    handler.setFormatter(standard_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(_is_for_the_user)
    if arguments:
        flags.FLAGS.set_gnu_getopt(True)
        app.run(lambda rest: guarded(lambda: main(rest[1:])), argv=argv, flags_parser=_parse)
    else:
        app.run(lambda _: guarded(main), argv=argv, flags_parser=_parse_flags)


def _printable(error: UnicodeError) -> tuple[bytes, int]:
    """Encodes what the locale lacks: bytes of file names as they are, other characters as escape sequences."""
    assert isinstance(error, UnicodeEncodeError)
    encoded = (
        bytes([ord(character) - 0xDC00])
        if "\udc80" <= character <= "\udcff"
        else character.encode("ascii", "backslashreplace")
        for character in error.object[error.start : error.end]
    )
    return b"".join(encoded), error.end


def _is_for_the_user(record: standard_logging.LogRecord) -> bool:
    """Returns whether to show a log record: everything of this project, and warnings of libraries except Orbax."""
    ours = any(Path(record.pathname).is_relative_to(package) for package in _PACKAGES)
    return ours or (record.levelno >= standard_logging.WARNING and "orbax" not in record.pathname)


def guarded(main: Callable[[], None]) -> None:
    """Calls `main` and turns bad input, a full disk and Ctrl-C into one sentence and an exit status."""
    try:
        main()
    except (Exception, KeyboardInterrupt) as error:
        explained = explain(error)
        if explained is None:
            raise
        sentence, status = explained
        sys.stderr.write(sentence)
        sys.exit(status)


def explain(error: BaseException) -> tuple[str, int] | None:
    """Returns the message and the exit status for an error, or None for a bug, which keeps its traceback."""
    if isinstance(error, KeyboardInterrupt):
        number = error.number if isinstance(error, StopSignal) else signal.SIGINT
        return "interrupted; the same command resumes where this one stopped\n", 128 + number
    if isinstance(error, InputError):
        return f"error: {error}\n", EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        message = f"error: cannot write {error.filename or 'a file'}: {error.strerror}; {_REMEDIES[error.errno]}\n"
        return message, EXIT_BAD_INPUT
    return None


def _parse(argv: list[str]) -> list[str]:
    """Parses flags; returns the program's name and the arguments without a flag."""
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        fail(" ".join(str(error).split()))


def _parse_flags(argv: list[str]) -> list[str]:
    rest = _parse(argv)
    if len(rest) > 1:
        fail(f"argument {rest[1]!r} has no flag; write it as --flag=value (--help lists the flags)")
    return rest


def fail(message: str) -> NoReturn:
    """Ends the program with one sentence on stderr and status 2."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(EXIT_BAD_INPUT)


def define_path(
    name: str, default: str | None, help_text: str, *, required: bool = False, short: str | None = None
) -> None:
    """Defines a flag whose value is a `Path`, or None without a value; `~` at its beginning is the home folder.

    Args:
        name: Name of the flag.
        default: Its default value.
        help_text: Its description.
        required: Whether it must be given.
        short: One letter by which the flag may be given too, as in `-o DIR`.
    """
    flags.DEFINE(_PathParser(), name, default, help_text, required=required, short_name=short)


def define_paths(name: str, default: list[str] | None, help_text: str, *, required: bool = False) -> None:
    """Defines a flag whose value is a list of `Path`s, separated by commas; see `define_path`."""
    flags.DEFINE(_PathsParser(), name, default, help_text, serializer=flags.ListSerializer(","), required=required)


def expanded(path: str) -> str:
    """Returns a path with the home folder for `~` or `~user` at its beginning, which a shell leaves in `--flag=~/a`.

    Raises:
        InputError: There is no such user.
    """
    found = os.path.expanduser(path)
    if path.startswith("~") and found == path:
        raise InputError(f"{path!r} names no home folder that is known; write the whole path, or ./{path}")
    return found


def command_line(module: str, *arguments: str) -> str:
    r"""Returns the command that runs a module with arguments, to be pasted into a shell.

    Bytes of file names that are not UTF-8 are written as `$'\xff'`, which bash and zsh read.
    """
    return " ".join(["python", "-m", module, *map(_quoted, arguments)])


def _quoted(argument: str) -> str:
    if not any("\udc80" <= character <= "\udcff" for character in argument):
        return shlex.quote(argument)
    text = os.fsencode(argument).decode("utf-8", "surrogateescape")
    return f"$'{''.join(map(_escaped, text))}'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


class _PathParser(flags.ArgumentParser):
    def parse(self, argument: str) -> Path:
        if not argument:
            raise InputError("it names nothing; name a path, or leave the flag out")
        return Path(expanded(argument))

    def flag_type(self) -> str:
        return "path"


class _PathsParser(flags.ArgumentParser):
    syntactic_help = "a comma separated list of paths"

    def parse(self, argument: str | list[str]) -> list[Path]:
        return [_PathParser().parse(path) for path in flags.ListParser().parse(argument)]

    def flag_type(self) -> str:
        return "comma separated list of paths"
