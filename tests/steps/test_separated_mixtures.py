"""No number depends on how many samples are computed together."""

import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.parallel import parallel_map, replicate
from mpnet_jax.steps.device_pass import Separator

KERNEL = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


def step(variables, batch):
    """A product whose order of additions follows its shape, and the number of samples that it saw."""
    return {"product": jnp.tanh(batch["x"] @ variables), "seen": jnp.full(len(batch["x"]), len(batch["x"]))}


@pytest.fixture(scope="module")
def separator():
    return Separator(parallel_map(step), replicate(KERNEL), size=2)  # on each of two devices


@pytest.mark.parametrize("batch", [1, 3, 4, 5, 11])
def test_every_batch_gives_the_same_bits(separator, batch):
    x = np.random.default_rng(1).standard_normal((11, 3, 64)).astype(np.float32)
    whole = separator({"x": x})
    parts = [separator({"x": x[start : start + batch]}) for start in range(0, 11, batch)]
    np.testing.assert_array_equal(np.concatenate([part["product"] for part in parts]), whole["product"])
    np.testing.assert_allclose(whole["product"], np.tanh(x @ KERNEL), atol=1e-4)
    assert all((part["seen"] == 2).all() for part in parts)


def test_what_fills_the_last_slice_is_dropped(separator):
    assert separator({"x": np.ones((3, 64), np.float32)})["product"].shape == (3, 64)


def test_batches_are_under_way_together(separator):
    first, second = (separator.start({"x": np.full((2, 64), fill, np.float32)}) for fill in (0.0, 1.0))
    np.testing.assert_allclose(second()["product"], np.tanh(np.ones((2, 64)) @ KERNEL), atol=1e-4)
    np.testing.assert_array_equal(first()["product"], 0.0)
