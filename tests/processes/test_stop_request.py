import signal

import pytest

from data_pipeline.command import StopSignal
from mpnet_jax.processes.stop_request import SIGNALS, StopRequest


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_recorded(number):
    with StopRequest() as stop:
        assert stop.number == 0 and stop.signal_name is None
        signal.raise_signal(number)
        assert (stop.number, stop.exit_status) == (number, 128 + number)
        assert stop.signal_name == signal.Signals(number).name


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGUSR1])
def test_a_second_signal_of_a_cluster_is_ignored(second):
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        assert stop.number == signal.SIGTERM


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_another_signal_stops_at_once(first):
    with StopRequest() as stop:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.number == first


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_stops_when_there_is_nothing_to_save(number):
    with StopRequest(at_once=True) as stop:
        with pytest.raises(StopSignal) as raised:
            signal.raise_signal(number)
        assert raised.value.number == number
        signal.raise_signal(signal.SIGTERM)  # while it is stopping
        stop = StopRequest(at_once=True)
        with stop:
            stop.at_once = False
            signal.raise_signal(number)
        assert stop.number == number


def test_the_previous_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
