"""Lines between processes, here between threads of one."""

import queue
import socket
import time

import pytest

from data_pipeline.command import InputError
from mpnet_jax.processes import monitor
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.monitor import EXIT_LOST, Gate, Member, UnmetError
from mpnet_jax.processes.sockets import free_port


class Meeting:
    """A gate and its members, whose losses are collected."""

    def __init__(self, count):
        self.count = count
        self.coordinator = f"127.0.0.1:{free_port()}"
        self.losses = queue.Queue()
        self.port_behind = free_port()
        self.gate = Gate(self.place(0), port_behind=self.port_behind, on_end=self.noting(0))
        self.members = {}

    def place(self, index, count=None):
        return Membership(self.coordinator, index, count or self.count)

    def noting(self, whose):
        return lambda index, count, status: self.losses.put((whose, index, count, status))

    def join(self, index):
        self.members[index] = Member(self.place(index), seconds=5.0, on_end=self.noting(index))


def test_a_member_that_dies_is_named_to_all_others():
    meeting = Meeting(3)
    meeting.join(1)
    meeting.join(2)
    meeting.gate.wait_for_all(5.0)
    meeting.members[1]._line._connection.shutdown(socket.SHUT_RDWR)  # as the kernel does for a killed process
    # It learns of its own loss too, by the line that the kernel closed at both ends.
    told = {meeting.losses.get(timeout=5) for _ in range(3)}
    assert {(0, 1, 3, EXIT_LOST), (2, 1, 3, EXIT_LOST)} < told


def test_the_first_that_dies_is_named_to_all_others():
    meeting = Meeting(3)
    meeting.join(1)
    meeting.join(2)
    meeting.gate.wait_for_all(5.0)
    meeting.gate._closing = True  # it is no more
    for line in meeting.gate._lines.values():
        line._connection.shutdown(socket.SHUT_RDWR)
    assert {meeting.losses.get(timeout=5) for _ in range(2)} == {
        (1, 0, 3, EXIT_LOST),
        (2, 0, 3, EXIT_LOST),
    }


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system has other names for it")
def test_the_kernel_asks_within_a_minute_whether_a_silent_machine_is_there():
    meeting = Meeting(2)
    meeting.join(1)
    meeting.gate.wait_for_all(5.0)
    for line in (meeting.gate._lines[1], meeting.members[1]._line):
        option = line._connection.getsockopt
        assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, apart, probes = (
            option(socket.IPPROTO_TCP, kind) for kind in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + apart * probes < 60


def test_one_that_fails_by_itself_gives_the_others_its_status():
    meeting = Meeting(3)
    meeting.join(1)
    meeting.join(2)
    meeting.gate.wait_for_all(5.0)
    meeting.members[2].fail(2)
    assert {meeting.losses.get(timeout=5) for _ in range(2)} == {(0, 2, 3, 2), (1, 2, 3, 2)}
    meeting = Meeting(2)
    meeting.join(1)
    meeting.gate.wait_for_all(5.0)
    meeting.gate.fail(130)
    assert meeting.losses.get(timeout=5) == (1, 0, 2, 130)


def test_nobody_begins_before_all_are_there():
    meeting = Meeting(3)
    meeting.join(1)
    begun = meeting.members[1]._line.begun
    assert not begun.wait(0.3)
    meeting.join(2)
    meeting.gate.wait_for_all(5.0)
    for member in meeting.members.values():
        assert member._line.begun.wait(5)
        member.wait_for_all()
    meeting.members[2].fail(2)  # a line still tells what it did before
    assert {meeting.losses.get(timeout=5) for _ in range(2)} == {(0, 2, 3, 2), (1, 2, 3, 2)}


def test_one_that_is_lost_before_all_are_there_is_named_too():
    meeting = Meeting(4)
    meeting.join(1)
    meeting.join(2)
    while len(meeting.gate._lines) < 2:
        time.sleep(0.01)
    meeting.members[2].fail(143)
    assert {meeting.losses.get(timeout=5) for _ in range(2)} == {(0, 2, 4, 143), (1, 2, 4, 143)}


def test_goodbyes_are_no_loss():
    meeting = Meeting(2)
    meeting.join(1)
    meeting.gate.wait_for_all(5.0)
    closing = monitor.threading.Thread(target=meeting.gate.close)
    closing.start()
    meeting.members[1].close()
    closing.join(5)
    assert not closing.is_alive()
    time.sleep(0.2)
    assert meeting.losses.empty()


def test_bytes_are_carried_to_the_service_behind_the_gate():
    meeting = Meeting(2)
    meeting.join(1)
    with socket.create_server(("127.0.0.1", meeting.port_behind)) as service:
        with socket.create_connection(("127.0.0.1", meeting.members[1].relay_port), timeout=5) as caller:
            caller.sendall(b"question")
            answering, _ = service.accept()
            with answering:
                answering.settimeout(5)
                assert answering.recv(100) == b"question"
                answering.sendall(b"answer" * 100_000)
                received = b""
                while len(received) < 600_000:
                    received += caller.recv(1 << 16)
    assert received == b"answer" * 100_000


def test_strangers_are_sent_away_and_harm_nobody():
    meeting = Meeting(2)
    meeting.join(1)
    with socket.create_connection(("127.0.0.1", int(meeting.coordinator.rpartition(":")[2])), timeout=5) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n")
        assert stranger.recv(100) == b""
    assert meeting.losses.empty()


def test_those_that_do_not_come_are_named():
    meeting = Meeting(4)
    meeting.join(2)
    with pytest.raises(UnmetError, match=r"of 4 processes 1, 3 did not come within 0 s; start all of them"):
        meeting.gate.wait_for_all(0.2)


def test_a_first_process_that_is_not_there_is_named():
    with pytest.raises(UnmetError, match=r"--coordinator=127\.0\.0\.1:\d+ was not there within 1 s; start the first"):
        Member(Membership(f"127.0.0.1:{free_port()}", 1, 2), seconds=0.6)


def test_another_count_is_refused():
    meeting = Meeting(2)
    with pytest.raises(InputError, match=r"--process_count=3 is 2 at the first process; give all the same"):
        Member(meeting.place(1, count=3), seconds=5.0)


def test_an_index_is_given_once():
    meeting = Meeting(3)
    meeting.join(1)
    with pytest.raises(UnmetError, match=r"already has a process 1 within 1 s; .* an index of its own"):
        Member(meeting.place(1), seconds=0.6)


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        coordinator = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"--coordinator={coordinator}: cannot listen .* choose another"):
            Gate(Membership(coordinator, 0, 2), port_behind=1)
