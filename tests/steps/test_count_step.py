"""Tests that a single pass of all steps gives the same counts as the recursion with each epsilon."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.evaluation.counting import counted
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.networks import apply_net, bind
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.steps.count_step import make_count_step, side_by_side
from mpnet_jax.steps.place_step import Search, make_place_step
from tests.steps.test_place_step import AUDIO, AXIS, MODEL, random_batch, variables  # noqa: F401

CLIPS = 4
ENDS = (0.001, 0.05, 0.2, 0.4, 0.6, 0.9)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (2, CLIPS, 1, 16, 32, 3), dtype=np.uint8)
    return {"mixture_magnitude": random_batch((1.0, 0.0))["mixture_magnitude"], "frames": frames}


def left_of(variables, batch, neighbourhood, remainder="mean"):  # noqa: F811
    step = make_count_step(
        MODEL, axis=AXIS, rules=Rules(remainder=remainder), with_plus=True, neighbourhood=neighbourhood
    )
    return np.asarray(jax.jit(step)(variables, batch)["left"], np.float64)


@pytest.mark.parametrize("remainder", ["mean", "rms"])
def test_clip_counts_equal_those_of_the_recursion(variables, batch, remainder):  # noqa: F811
    left = left_of(variables, batch, None, remainder)
    assert left.shape == (2, CLIPS + 1)
    assert (np.diff(left) <= 1e-7).all()
    params, statistics = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
    vectors, _ = apply_net(MODEL, "frame_net", params, statistics, jnp.asarray(batch["frames"]), method="look")
    networks = bind({"minus_net": MODEL, "plus_net": MODEL}, variables, steps=CLIPS, with_plus=True)
    for epsilon in ENDS:
        separation = minus_plus(
            AXIS.warp(jnp.asarray(batch["mixture_magnitude"])),
            Candidates(vectors),
            networks,
            steps=CLIPS,
            rules=Rules(epsilon_relative=epsilon, remainder=remainder),
        )
        counts = counted(left, epsilon_relative=epsilon, epsilon_absolute=0.0)
        np.testing.assert_array_equal(counts, np.asarray(separation.active).sum(0))
    most = counted(left, epsilon_relative=0.001, epsilon_absolute=0.0)
    assert most[0] > 1 and most[1] == 0  # the second sample is silent


def test_place_counts_equal_those_of_the_recursion(variables, batch):  # noqa: F811
    left = left_of(variables, batch, 0.0)
    scene = np.asarray(side_by_side(jnp.asarray(batch["frames"])))
    places = {
        "mixture_magnitude": batch["mixture_magnitude"],
        "mixture_phase": np.zeros_like(batch["mixture_magnitude"]),
        "frames": scene,
    }
    for epsilon in ENDS[1:4]:
        step = make_place_step(
            MODEL,
            axis=AXIS,
            audio=AUDIO,
            rules=Rules(epsilon_relative=epsilon),
            mask="binary",
            with_plus=True,
            search=Search(CLIPS, neighbourhood=0.0),
        )
        active = np.asarray(jax.jit(step)(variables, places)["active"])
        counts = counted(left, epsilon_relative=epsilon, epsilon_absolute=0.0)
        np.testing.assert_array_equal(counts, active.sum(1))


def test_no_more_sounds_are_counted_than_places_show(variables, batch, monkeypatch):  # noqa: F811
    def all_but_one(vectors):
        return jnp.broadcast_to(jnp.arange(vectors.shape[1]) != 3, vectors.shape[:2])

    monkeypatch.setattr("mpnet_jax.recursion.places.blank_places", all_but_one)
    options = {"axis": AXIS, "rules": Rules(), "with_plus": True, "neighbourhood": 0.0}
    step = make_count_step(MODEL, **options, blank_last=True)
    left = np.asarray(jax.jit(step)(variables, batch)["left"])
    # One place is not blank; before a second step nothing counts as left.
    assert left[0, 0] > 0 and not left[:, 1:-1].any() and left[0, -1] > 0
    counts = counted(left.astype(np.float64), epsilon_relative=1e-3, epsilon_absolute=0.0)
    assert counts.tolist() == [1, 0]  # the second sample is silent


@pytest.mark.parametrize(("clips", "shape"), [(1, (2, 3)), (3, (2, 9)), (4, (4, 6)), (6, (4, 9)), (5, (4, 9))])
def test_clips_are_tiled_in_a_grid(clips, shape):
    frames = jnp.asarray(np.random.default_rng(0).integers(1, 256, (1, clips, 2, 2, 3, 3), dtype=np.uint8))
    scene = np.asarray(side_by_side(frames))
    assert scene.shape == (1, 2, *shape, 3)
    columns = shape[1] // 3
    for clip in range(clips):
        row, column = divmod(clip, columns)
        np.testing.assert_array_equal(scene[0, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3], frames[0, clip])
    assert (scene == 0).sum() == 2 * (shape[0] * shape[1] * 3 - clips * 18)
