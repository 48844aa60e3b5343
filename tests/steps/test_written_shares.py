"""Tests of the thresholds of written sounds, with masks by hand: one bin, two steps, and a mixture of 4."""

import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Separation
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.separate_step import written_shares

AXIS = FrequencyAxis(np.arange(1), np.eye(1), np.eye(1))
MIXTURE = jnp.full((1, 1, 1), 4.0)


def logit(share):
    return jnp.asarray(np.log(share) - np.log1p(-np.asarray(share)), jnp.float32)


def written(masks, moved, sounds, *, mask, **rules):
    """Returns the shares of two sounds, from the masks M and M_r and the soft sounds of the recursion."""

    def of_steps(values):
        return jnp.asarray(values, jnp.float32)[:, None, None, None]

    remaining = 4.0 * (1 - masks[0])
    empty = jnp.zeros(())
    separation = Separation(
        mask_logits=of_steps(logit(masks)),
        plus_logits=jnp.concatenate([jnp.full((1, 1, 1, 1), -jnp.inf), of_steps(logit(moved))]),
        before=of_steps([4.0, remaining]),
        remixes=of_steps([0.0, 4.0 * masks[0]]),
        sounds=of_steps(sounds),
        incomplete=empty,
        chosen=empty,
        active=empty,
        energies=empty,
        remaining=empty,
        statistics=(),
    )
    return written_shares(separation, MIXTURE, rules=Rules(**rules), mask=mask, axis=AXIS).ravel()


CONSERVES = {"plus_conserves": True}


@pytest.mark.parametrize(
    ("mask", "moved", "rules", "expected"),
    [
        # The soft masks take 0.8 of 1, and 0.3 of 0.2. Thresholded, the first keeps all and the second nothing.
        ("binary", 0.4, {}, [1.0, 0.0]),
        ("binary", 0.6, {}, [1.0, 0.8]),  # M_r adds the soft first sound
        ("binary", 0.4, {"plus_threshold": 0.3}, [1.0, 0.8]),
        ("binary", 0.6, {"plus_threshold": 0.7}, [1.0, 0.0]),
        ("binary", 0.6, CONSERVES, [0.0, 1.0]),  # the first sound as it is written moves
        ("binary", 0.4, CONSERVES, [1.0, 0.0]),
        ("binary", 0.4, CONSERVES | {"plus_threshold": 0.3}, [0.0, 1.0]),
        ("ratio", 0.4, {}, [0.25, 0.5]),  # the recursion's own sounds
        ("ratio", 0.4, {"plus_threshold": 0.5}, [0.8, 0.06]),
        ("ratio", 0.4, {"plus_threshold": 0.3}, [0.8, 0.06 + 0.4 * 0.8]),
        ("ratio", 0.4, CONSERVES | {"plus_threshold": 0.3}, [0.6 * 0.8, 0.06 + 0.4 * 0.8]),
        ("ratio", 0.4, CONSERVES | {"plus_threshold": 0.3, "plus_source": "others"}, [0.6 * 0.8, 0.06 + 0.4 * 0.94]),
    ],
)
def test_thresholds_by_hand(mask, moved, rules, expected):
    found = written([0.8, 0.3], [moved], [1.0, 2.0], mask=mask, **rules)
    np.testing.assert_allclose(found, expected, atol=1e-6)
