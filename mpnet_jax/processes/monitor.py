"""Notices at once when one of several processes is gone, and ends the others with one sentence.

Left to itself, a lost process shows as a collective that never returns, as a storm of native log lines, or not for
minutes. So every process keeps a line open to the first: the kernel closes it when a process dies, and finds out when a
machine does, however busy Python is; the first tells the others which it was. What JAX has to say to its own processes
goes through the same port, relayed, so that JAX never sees a line break before this module does.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from data_pipeline.command import InputError
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.sockets import ANSWER_SECONDS, connect, first_line, in_background, listen_on, relay

EXIT_LOST = 75  # "temporary failure": the same command, given again, goes on
OnEnd = Callable[[int, int, int], None]  # takes index, number of processes, exit status
# A machine that answers none of so many probes of the kernel, so far apart, is gone: after 40 s.
_PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_GOODBYE_SECONDS = 10.0
_HELLO = "mpnet_jax"
_BEGIN = "begin"


class UnmetError(RuntimeError):
    """The processes did not come together in time; they may the next time."""


def leave(sentence: str, status: int) -> NoReturn:
    """Ends this process now: nothing waits for a collective or for a process that is no more."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.write(sentence)
        sys.stderr.flush()
    os._exit(status)


def end_with(index: int, count: int, status: int) -> NoReturn:
    """Ends this process because another has ended, with that one's status; `EXIT_LOST` where it could not tell."""
    if status == EXIT_LOST:
        sentence = (
            f"process {index} of {count} is gone (killed, failed or cut off), so the others stop; give all of them "
            "the same command again, and they go on from the last checkpoint"
        )
    else:
        sentence = f"process {index} of {count} ended with status {status} and says why, so the others stop"
    leave(f"error: {sentence}\n", status)


class Line:
    """One end of an open line: listens, and tells when the other end is gone.

    Args:
        connection: open; the other end is a `Line` too.
        on_end: called once with what the other end said last: "" when it said nothing, "bye", or "ended", the index of
            a process and its exit status.

    Attributes:
        begun: set when the other end has said that all are there.
    """

    def __init__(self, connection: socket.socket, on_end: Callable[[str], None]) -> None:
        self._connection = connection
        self._on_end = on_end
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.begun = threading.Event()
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _PROBES.items():
            if hasattr(socket, option):  # elsewhere the system's own, of hours
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def start(self) -> None:
        """Begins to listen."""
        in_background(self._listen)

    def say(self, word: str) -> None:
        """Sends a word; one that cannot be sent is no error: the listening thread finds out."""
        with contextlib.suppress(OSError), self._lock:
            self._connection.sendall(f"{word}\n".encode())

    def wait(self, seconds: float) -> None:
        """Returns when the other end is gone or has said goodbye, or after a time."""
        self._ended.wait(seconds)

    def _listen(self) -> None:
        last = ""
        with contextlib.suppress(OSError):  # a machine that answers no more is one, too
            last = first_line(self._connection)
            if last == _BEGIN:
                self.begun.set()
                last = ""
                last = first_line(self._connection)
        self._ended.set()
        self._on_end(last)


class Gate:
    """The first process's end: every other process holds a line to it.

    Args:
        member: this process, the first.
        port_behind: where JAX's coordination service listens, on this machine alone.
        on_end: called when another process has ended too early.

    Raises:
        InputError: the port is taken.
    """

    def __init__(self, member: Membership, *, port_behind: int, on_end: OnEnd = end_with) -> None:
        self._count = member.count
        self._port_behind = port_behind
        self._on_end = on_end
        self._lines: dict[int, Line] = {}
        self._changed = threading.Condition()
        self._closing = False
        host, port = member.address
        try:
            self._server = listen_on(host, port)
        except OSError as error:
            raise InputError(
                f"--coordinator={member.coordinator}: cannot listen on port {port} ({error.strerror}); choose another"
            ) from None
        in_background(self._accept)

    def wait_for_all(self, seconds: float) -> None:
        """Returns when every other process has come, and tells them.

        Raises:
            UnmetError: some have not, in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._lines) == self._count - 1, seconds):
                missing = sorted(set(range(1, self._count)) - self._lines.keys())
                raise UnmetError(
                    f"of {self._count} processes {', '.join(map(str, missing))} did not come within {seconds:.0f} s; "
                    "start all of them with the same --coordinator and --process_count"
                )
        for line in self._lines.values():
            line.say(_BEGIN)

    def fail(self, status: int) -> None:
        """Tells the others that this process is about to end."""
        self._closing = True
        self._tell(0, status)

    def close(self) -> None:
        """Says goodbye; returns when the others have said it too, or after a while."""
        self._closing = True
        lines = list(self._lines.values())
        for line in lines:
            line.wait(_GOODBYE_SECONDS)
            line.say("bye")
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                in_background(self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        """Answers one connection: a line, a relay, or a stranger."""
        try:
            connection.settimeout(ANSWER_SECONDS)
            hello = first_line(connection).split()
        except OSError:
            hello = []
        if hello == [_HELLO, "relay"]:
            with contextlib.suppress(OSError):
                behind = connect(("127.0.0.1", self._port_behind), ANSWER_SECONDS)
                relay(connection, behind)
        elif len(hello) == 4 and hello[:2] == [_HELLO, "line"] and all(word.isdecimal() for word in hello[2:]):
            self._admit(connection, int(hello[2]), int(hello[3]))
        else:
            connection.close()

    def _admit(self, connection: socket.socket, index: int, count: int) -> None:
        line = Line(connection, lambda last: self._ended(index, last))
        with self._changed:
            if count != self._count:
                line.say(f"refused --process_count={count} is {self._count} at the first process; give all the same")
                connection.close()
                return
            if not 0 < index < count or index in self._lines:
                line.say("taken")
                connection.close()
                return
            self._lines[index] = line
            line.say("welcome")
            line.start()
            self._changed.notify_all()

    def _ended(self, index: int, last: str) -> None:
        if last == "bye" or self._closing:
            return
        status = _status_of(last)
        self._tell(index, status)
        self._on_end(index, self._count, status)

    def _tell(self, index: int, status: int) -> None:
        for other, line in list(self._lines.items()):
            if other != index:
                line.say(f"ended {index} {status}")


class Member:
    """Another process's end: its line to the first, and the port on this machine that leads to JAX's service there.

    Args:
        member: this process, not the first.
        seconds: to wait for the first process.
        on_end: as of `Gate`.

    Attributes:
        relay_port: on this machine alone.

    Raises:
        UnmetError: the first process is not there in time.
        InputError: it refuses this one.
    """

    def __init__(self, member: Membership, *, seconds: float, on_end: OnEnd = end_with) -> None:
        self._address = member.address
        self._index, self._count = member.index, member.count
        self._on_end = on_end
        self._closing = False
        self._line = Line(self._admitted(member, seconds), self._ended)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.relay_port: int = self._server.getsockname()[1]
        in_background(self._accept)
        self._line.start()

    def wait_for_all(self) -> None:
        """Returns when every other process has come; the first gives up in time, which ends this one."""
        self._line.begun.wait()

    def fail(self, status: int) -> None:
        """Tells the others that this process is about to end."""
        self._closing = True
        self._line.say(f"ended {self._index} {status}")

    def close(self) -> None:
        """Says goodbye."""
        self._closing = True
        self._line.say("bye")
        self._line.wait(_GOODBYE_SECONDS)
        self._server.close()

    def _admitted(self, member: Membership, seconds: float) -> socket.socket:
        deadline = time.monotonic() + seconds
        answer = ""
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                connection = connect(self._address, deadline - time.monotonic())
                connection.sendall(f"{_HELLO} line {member.index} {member.count}\n".encode())
                answer = first_line(connection)
                if answer == "welcome":
                    return connection
                connection.close()
            if answer.startswith("refused "):
                raise InputError(answer.removeprefix("refused "))
            time.sleep(0.5)  # an earlier run may still be on its way out
        why = f"already has a process {member.index}" if answer == "taken" else "was not there"
        raise UnmetError(
            f"--coordinator={member.coordinator} {why} within {seconds:.0f} s; start the first process there, and "
            "every process with an index of its own"
        )

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                here, _ = self._server.accept()
                in_background(self._carry, here)

    def _carry(self, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            there = connect(self._address, ANSWER_SECONDS)
            there.sendall(f"{_HELLO} relay\n".encode())
            relay(here, there)

    def _ended(self, last: str) -> None:
        if last == "bye" or self._closing:
            return
        index = int(last.split()[1]) if last.startswith("ended ") else 0
        self._on_end(index, self._count, _status_of(last))


def _status_of(last: str) -> int:
    """Exit status of a process by the last word on a line."""
    return int(last.split()[2]) if last.startswith("ended ") else EXIT_LOST
