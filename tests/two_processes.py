"""One of several processes that do what a training run does together, without a model: for test_parallel.py.

`python -m tests.two_processes COORDINATOR INDEX COUNT [die|stop]`, with PYTHONPATH at the checkout.
"""

import sys
import time

import numpy as np

from mpnet_jax import parallel
from mpnet_jax.processes import Membership


def main(coordinator: str, index: int, count: int, how: str) -> None:
    """Checks what processes tell each other; then both end, or one dies in the midst."""
    with parallel.joined(Membership(coordinator, index, count)):
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
        told = [largest(15 if index == 1 and turn == 2 else 0) for turn in range(5)]
        assert told == [0, 0, 0, 15, 0], told
        sys.stdout.write("all agree\n")
        sys.stdout.flush()
        while how == "die":  # until one is killed
            largest(0)
            time.sleep(0.01)


if __name__ == "__main__":
    place, number, several, *rest = sys.argv[1:]
    main(place, int(number), int(several), rest[0] if rest else "")
