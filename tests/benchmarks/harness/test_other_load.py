import pytest

from benchmarks.harness import other_load
from benchmarks.harness.other_load import Quiet


class Machine:
    """A fake clock with the CPU times of the measured process and of all processes."""

    def __init__(self, others_at):
        self.now, self.own, self.all = 0.0, 0.0, 0.0
        self._others_at = others_at

    def run(self, seconds, own):
        self.all += seconds * (own + self._others_at(self.now))
        self.own += seconds * own
        self.now += seconds


def quiet_on(monkeypatch, machine, patience_seconds):
    monkeypatch.setattr(other_load, "busy_seconds", lambda: machine.all)
    monkeypatch.setattr(other_load.time, "monotonic", lambda: machine.now)
    monkeypatch.setattr(other_load.time, "sleep", lambda seconds: machine.run(seconds, own=0))
    return Quiet(patience_seconds)


@pytest.mark.parametrize(
    ("others_at", "expected_start", "disturbed"),
    [
        (lambda now: 0.0, 1, 0),
        (lambda now: 1.0 if now < 20 else 0.0, 21, 0),  # waits
        (lambda now: 1.0 if 2 < now < 20 else 0.0, 21, 0),  # discards a run, then waits
        (lambda now: 1.0, 61, 1),  # keeps a disturbed run
    ],
)
def test_a_measurement_waits_for_an_idle_machine(monkeypatch, others_at, expected_start, disturbed):
    machine = Machine(others_at)
    quiet = quiet_on(monkeypatch, machine, 60.0)

    def measure():
        started = machine.now
        for _ in range(5):
            machine.run(1.0, own=2)
        return started

    assert quiet.run(measure, lambda: machine.own) == pytest.approx(expected_start, abs=3)
    assert quiet.disturbed == disturbed


def test_busy_time_grows():
    assert other_load.busy_seconds() >= 0.0
