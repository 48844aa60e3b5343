"""Tests that results do not depend on the batch size."""

import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.parallel import parallel_map, replicate
from mpnet_jax.steps.device_pass import Separator

KERNEL = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


def step(variables, batch):
    """Returns a matrix product, whose rounding depends on its shape, and the number of samples in the batch."""
    return {"product": jnp.tanh(batch["x"] @ variables), "seen": jnp.full(len(batch["x"]), len(batch["x"]))}


@pytest.fixture(scope="module")
def separator():
    return Separator(parallel_map(step), replicate(KERNEL), size=2)  # samples per device


@pytest.mark.parametrize("batch", [1, 3, 4, 5, 11])
def test_results_are_bitwise_equal_for_every_batch_size(separator, batch):
    x = np.random.default_rng(1).standard_normal((11, 3, 64)).astype(np.float32)
    at_once = separator({"x": x})
    parts = [separator({"x": x[start : start + batch]}) for start in range(0, 11, batch)]
    np.testing.assert_array_equal(np.concatenate([part["product"] for part in parts]), at_once["product"])
    np.testing.assert_allclose(at_once["product"], np.tanh(x @ KERNEL), atol=1e-4)
    assert all((part["seen"] == 2).all() for part in parts)


def test_padding_of_the_last_slice_is_dropped(separator):
    assert separator({"x": np.ones((3, 64), np.float32)})["product"].shape == (3, 64)


def test_several_batches_can_be_started_before_their_results_are_read(separator):
    first, second = (separator.start({"x": np.full((2, 64), fill, np.float32)}) for fill in (0.0, 1.0))
    np.testing.assert_allclose(second()["product"], np.tanh(np.ones((2, 64)) @ KERNEL), atol=1e-4)
    np.testing.assert_array_equal(first()["product"], 0.0)
