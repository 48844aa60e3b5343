"""Runs one of several processes that communicate like a training run but have no model; used by test_parallel.py.

Usage: `python -m tests.support.two_processes COORDINATOR INDEX COUNT [run|first_fails|all_fail]` in the checkout.
"""

import sys
import time

import numpy as np
from absl import logging

from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.metrics.si_sdr import si_sdr
from mpnet_jax.processes import joining
from mpnet_jax.processes.membership import Membership
from mpnet_jax.processes.stop_request import StopRequest
from mpnet_jax.steps.separated_mixtures import DEVICE_INPUTS, validation_score

LAST = 2  # index of the last mixture; two processes share the list unevenly
HEARTBEAT_SECONDS = 5  # shorter than in a training run, since a test waits for it


def main(coordinator: str, index: int, count: int, how: str) -> None:
    """Checks the communication between processes, then ends, fails or runs until a process is killed."""
    logging.set_verbosity(logging.INFO)
    joining._HEARTBEAT_SECONDS = HEARTBEAT_SECONDS
    with StopRequest(at_once=True), joining.joined(Membership(coordinator, index, count)):
        assert parallel.process_place() == (index, count)
        assert parallel.is_first() == (index == 0)
        first = parallel.of_first({"a": np.full((2, 3), 7.5 + index, np.float32), "step": np.int32(4 + index)})
        assert first["a"].tolist() == [[7.5] * 3] * 2 and first["step"] == 4
        assert parallel.all_processes(np.array([index, -index], np.int32)).tolist() == [0, 0, 1, -1]
        assert parallel.same_as_first("same") and parallel.same_as_first(f"text {index}") == (index == 0)
        average = parallel.parallel_map(lambda variables, batch: parallel.mean_over_devices(variables * batch["x"]))
        halves = parallel.shard({"x": np.array([1.0 + 2 * index], np.float32)})
        assert parallel.unreplicate(average(parallel.replicate(np.float32(2.0)), halves)) == 4.0

        largest = parallel.LargestOfAll()
        maxima = [largest(15 if index == 1 and turn == 2 else 0) for turn in range(5)]
        assert maxima == [0, 0, 0, 15, 0], maxima
        of_own, of_all = score([2 * index, 2 * index + 1]), score_of_list()
        np.testing.assert_allclose(of_own, of_all, rtol=1e-6)
        sys.stdout.write("all agree\n")
        sys.stdout.flush()
        if how == "all_fail" or (how == "first_fails" and index == 0):
            time.sleep(index)  # process 1 finds the same error later
            raise InputError(f"process {index} does not like its input")
        while how:  # until a process is killed
            largest(0)
            time.sleep(0.01)


def sounds(places: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sources and the estimates of the given mixtures, each (mixture, source, samples)."""
    both = [np.random.default_rng(place).standard_normal((2, 2, 50)).astype(np.float32) for place in places]
    truth, noise = np.stack(both, axis=1)
    return truth, truth + 0.3 * noise


def score(places: list[int]) -> float:
    """Returns the score of the complete list, computed in a process that scores the given mixtures."""
    truth, separated = sounds([min(place, LAST) for place in places])
    batch = {"source_waveform": truth, "index": np.array(places), "valid": np.array(places) <= LAST}
    inputs = dict.fromkeys(DEVICE_INPUTS, truth)
    return validation_score(lambda _: {"waveform": separated}, [batch | inputs])


def score_of_list() -> float:
    """Returns the score of the complete list, computed in this process only."""
    truth, separated = sounds(list(range(LAST + 1)))
    mixture = np.broadcast_to(truth.sum(1, keepdims=True), truth.shape)
    return float(np.mean(si_sdr(truth, separated) - si_sdr(truth, mixture)))


if __name__ == "__main__":
    address, process_index, process_count, *mode = sys.argv[1:]
    main(address, int(process_index), int(process_count), mode[0] if mode else "")
