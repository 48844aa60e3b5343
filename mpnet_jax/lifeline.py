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
from mpnet_jax.processes import Membership

EXIT_LOST = 75  # "temporary failure": the same command, given again, goes on
ANSWER_SECONDS = 30.0  # for a connection to be made or answered
# A machine that answers none of so many probes of the kernel, so far apart, is gone: after 40 s.
_PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_GOODBYE_SECONDS = 10.0
_CHUNK_BYTES = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HELLO = "mpnet_jax"


class UnmetError(RuntimeError):
    """The processes did not come together in time; they may the next time."""


def leave(sentence: str, status: int) -> NoReturn:
    """Ends this process now: nothing waits for a collective or for a process that is no more."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.write(sentence)
        sys.stderr.flush()
    os._exit(status)


def end_for_loss(index: int, count: int) -> NoReturn:
    """Ends this process because another is gone."""
    leave(
        f"error: process {index} of {count} is gone (killed, failed or cut off), so the others stop; give all of them "
        "the same command again, and they go on from the last checkpoint\n",
        EXIT_LOST,
    )


class Line:
    """One end of an open line: listens, and tells when the other end is gone.

    Args:
        connection: open; the other end is a `Line` too.
        on_end: called once with what the other end said last: "" when it said nothing, "bye", or "lost <index>".
    """

    def __init__(self, connection: socket.socket, on_end: Callable[[str], None]) -> None:
        self._connection = connection
        self._on_end = on_end
        self._lock = threading.Lock()
        self._ended = threading.Event()
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _PROBES.items():
            if hasattr(socket, option):  # elsewhere the system's own, of hours
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def start(self) -> None:
        """Begins to listen."""
        _thread(self._listen)

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
            last = _first_line(self._connection)
        self._ended.set()
        self._on_end(last)


class Gate:
    """The first process's end: every other process holds a line to it.

    Args:
        member: this process, the first.
        port_behind: where JAX's coordination service listens, on this machine alone.
        on_loss: called with the index and the number of processes when one is gone.

    Raises:
        InputError: the port is taken.
    """

    def __init__(
        self, member: Membership, *, port_behind: int, on_loss: Callable[[int, int], None] = end_for_loss
    ) -> None:
        self._count = member.count
        self._port_behind = port_behind
        self._on_loss = on_loss
        self._lines: dict[int, Line] = {}
        self._changed = threading.Condition()
        self._closing = False
        host, port = member.address
        try:
            self._server = _listen_on(host, port)
        except OSError as error:
            raise InputError(
                f"--coordinator={member.coordinator}: cannot listen on port {port} ({error.strerror}); choose another"
            ) from None
        _thread(self._accept)

    def wait_for_all(self, seconds: float) -> None:
        """Returns when every other process has come.

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
                _thread(self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        """Answers one connection: a line, a relay, or a stranger."""
        try:
            connection.settimeout(ANSWER_SECONDS)
            hello = _first_line(connection).split()
        except OSError:
            hello = []
        if hello == [_HELLO, "relay"]:
            with contextlib.suppress(OSError):
                behind = _connect(("127.0.0.1", self._port_behind), ANSWER_SECONDS)
                _relay(connection, behind)
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
        for other, line in list(self._lines.items()):
            if other != index:
                line.say(f"lost {index}")
        self._on_loss(index, self._count)


class Member:
    """Another process's end: its line to the first, and the port on this machine that leads to JAX's service there.

    Args:
        member: this process, not the first.
        seconds: to wait for the first process.
        on_loss: as of `Gate`.

    Attributes:
        relay_port: on this machine alone.

    Raises:
        UnmetError: the first process is not there in time.
        InputError: it refuses this one.
    """

    def __init__(
        self,
        member: Membership,
        *,
        seconds: float,
        on_loss: Callable[[int, int], None] = end_for_loss,
    ) -> None:
        self._address = member.address
        self._count = member.count
        self._on_loss = on_loss
        self._closing = False
        self._line = Line(self._admitted(member, seconds), self._ended)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.relay_port: int = self._server.getsockname()[1]
        _thread(self._accept)
        self._line.start()

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
                connection = _connect(self._address, deadline - time.monotonic())
                connection.sendall(f"{_HELLO} line {member.index} {member.count}\n".encode())
                answer = _first_line(connection)
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
                _thread(self._carry, here)

    def _carry(self, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            there = _connect(self._address, ANSWER_SECONDS)
            there.sendall(f"{_HELLO} relay\n".encode())
            _relay(here, there)

    def _ended(self, last: str) -> None:
        if last == "bye" or self._closing:
            return
        index = int(last.split()[1]) if last.startswith("lost ") else 0
        self._on_loss(index, self._count)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _listen_on(host: str, port: int) -> socket.socket:
    if host in _LOOPBACK:
        return socket.create_server(("127.0.0.1", port))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _connect(address: tuple[str, int], seconds: float) -> socket.socket:
    """Connects, again and again for some seconds.

    Raises:
        OSError: nobody listens there.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(address, timeout=ANSWER_SECONDS)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _first_line(connection: socket.socket) -> str:
    """The first line, read byte by byte, because what follows it is not for us."""
    line = b""
    while len(line) < 200 and (byte := connection.recv(1)) not in (b"", b"\n"):
        line += byte
    return line.decode(errors="replace")


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways. Neither side hears that the other is gone: the line tells, and tells why."""
    for source, sink in ((one, other), (other, one)):
        source.settimeout(None)
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _thread(_pump, source, sink)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            sink.sendall(data)


def _thread(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True, name=f"lifeline {function.__name__}").start()
