"""Tests of the Plus-Net's alternatives in the recursion: its source, conservation and sweeps, with networks by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.completion import replayed
from mpnet_jax.recursion.minus_plus import Loop, minus_plus
from mpnet_jax.recursion.networks import plus_sets, statistics_for_calls
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks

FREQ, TIME = 2, 3


def logit(share):
    return float(np.log(share) - np.log1p(-share))


def run(mixture, masks, moved, **options):
    """Compiles and runs the recursion of `separated`; returns NumPy arrays."""
    return jax.device_get(jax.jit(lambda mixture: separated(mixture, masks, moved, **options))(mixture))


def separated(mixture, masks, moved, *, order=None, unroll=True, skip_finished=False, **rules):
    """Separates a mixture with masks by hand.

    Args:
        mixture: Mixture (batch, freq, time).
        masks: Share of the remaining mixture that each step takes.
        moved: Plus-Net's mask in each call but the first, as a number or as a function of `PlusInputs`.
        order: See `minus_plus`.
        unroll, skip_finished: See `minus_plus`.
        rules: Fields of `Rules`.
    """
    steps = len(masks)
    order = jnp.asarray(order or [list(range(steps))] * len(mixture))

    def minus(remaining, bias):
        return jnp.broadcast_to(bias, (*remaining.shape, 1)), bias

    def plus(inputs, number):
        if callable(moved):
            return moved(inputs), number
        table = jnp.asarray([logit(share) for share in moved])
        return jnp.full_like(inputs.sound, table[number]), number

    calls = plus_sets(steps, rules.get("plus_passes", 1))
    statistics = {"minus": jnp.asarray([logit(share) for share in masks]), "plus": jnp.arange(calls)}
    vectors = jnp.broadcast_to(jnp.arange(1.0, steps + 1)[:, None], (len(mixture), steps, 1))
    ones = jnp.ones_like(vectors)
    return minus_plus(
        jnp.asarray(mixture),
        # The Minus-Net's map is weighted by one; a Plus-Net that looks tells the candidates apart by `vectors`.
        Candidates(jnp.concatenate([ones, vectors], -1)),
        Networks(lambda x, s: (jnp.concatenate([minus(x, s)[0], jnp.zeros((*x.shape, 1))], -1), s), plus, statistics),
        steps=steps,
        rules=Rules(**rules),
        order=order,
        loop=Loop(unroll),
        skip_finished=skip_finished,
    )


def values(arrays):
    return np.asarray(arrays)[:, 0, 0, 0]


ONE = np.full((1, 1, 1), 8.0, np.float32)


def test_a_part_that_moves_leaves_the_sounds_it_came_from():
    # 8: the masks take 4 of 8, 2 of 4, 1 of 2. Sound 1 gets a quarter of sound 0, sound 2 half of sounds 0 and 1.
    out = run(ONE, [0.5, 0.5, 0.5], [0.25, 0.5], plus_conserves=True)
    np.testing.assert_allclose(values(out.sounds), [1.5, 1.5, 4.0], rtol=1e-6)
    np.testing.assert_allclose(values(out.remixes), [0.0, 4.0, 6.0], rtol=1e-6)
    np.testing.assert_allclose(values(out.incomplete), [4.0, 2.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(out.remaining, 1.0, rtol=1e-6)
    paper = run(ONE, [0.5, 0.5, 0.5], [0.25, 0.5])
    np.testing.assert_allclose(values(paper.sounds), [4.0, 3.0, 4.5], rtol=1e-6)


def test_earlier_sounds_give_in_proportion_to_what_they_hold():
    out = run(ONE, [0.75, 0.5, 0.5], [1e-6, 0.5], plus_conserves=True)
    np.testing.assert_allclose(values(out.sounds), [3.0, 0.5, 0.5 + 3.5], rtol=1e-5)


def test_a_sound_may_be_completed_from_all_others():
    # Sound 1 takes 2 of 4 and may take of the other 6: 4 of sound 0 and 2 that remain.
    out = run(ONE, [0.5, 0.5], [0.5], plus_source="others")
    np.testing.assert_allclose(values(out.remixes), [4.0, 6.0], rtol=1e-6)
    np.testing.assert_allclose(values(out.sounds), [4.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(out.remaining, 2.0, rtol=1e-6)
    out = run(ONE, [0.5, 0.5, 0.5], [0.5, 0.25], plus_source="others", plus_conserves=True)
    # Sound 0 and the remaining mixture halve to 2 and 1; step 2 takes 0.5 of that 1 and a quarter of the other 7.5.
    np.testing.assert_allclose(values(out.before), [8.0, 4.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(values(out.sounds), [1.5, 3.75, 0.5 + 1.875], rtol=1e-6)
    np.testing.assert_allclose(out.remaining, 0.375, rtol=1e-6)


def test_a_sweep_completes_every_sound_from_those_of_all_steps():
    # After the steps 4 and 2 (nothing moves). The sweep gives half of sound 1 to sound 0, then a fifth of that back.
    nothing = 1e-9
    out = run(ONE, [0.5, 0.5], [nothing, 0.5, 0.2], plus_conserves=True, plus_passes=2)
    np.testing.assert_allclose(values(out.sounds), [4.0, 2.0], rtol=1e-6)  # 4 + 1 = 5, less a fifth
    np.testing.assert_allclose(values(out.remixes), [0.0, 4.0, 2.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(values(out.incomplete), [4.0, 2.0, 4.0, 1.0], rtol=1e-6)
    assert out.plus_logits.shape[0] == 4 and out.statistics["plus"].shape == (3,)
    # Once nothing is missing, a further sweep moves nothing.
    again = run(ONE, [0.5, 0.5], [nothing, 0.5, 0.2, nothing, nothing], plus_conserves=True, plus_passes=3)
    np.testing.assert_allclose(again.sounds, out.sounds, rtol=1e-6)


def test_the_plus_net_is_given_all_that_it_may_see():
    seen = []

    def spy(inputs):
        seen.append(inputs)
        return jnp.full_like(inputs.sound, logit(0.5))

    with jax.disable_jit():  # a traced loop would call it once
        run(ONE, [0.5, 0.5], spy, order=[[1, 0]], plus_source="others", plus_conserves=True, plus_passes=2)
    # The step's sound is 2 of 4; then 2 + 3 = 5, and sound 0 and what remains halve to 2 and 1.
    fields = [{name: float(value.ravel()[-1]) for name, value in inputs._asdict().items()} for inputs in seen]
    assert fields == [
        {"remix": 6.0, "sound": 2.0, "remaining": 2.0, "mixture": 8.0, "vectors": 1.0},
        {"remix": 6.0, "sound": 2.0, "remaining": 1.0, "mixture": 8.0, "vectors": 2.0},
        {"remix": 5.5, "sound": 2.5, "remaining": 0.5, "mixture": 8.0, "vectors": 1.0},
    ]


def soft_plus(inputs):
    """Returns logits that depend on every input, bin by bin, as those of a network do."""
    return jnp.sin(3 * inputs.remix) + inputs.sound - inputs.remaining + 0.3 * inputs.vectors[:, 1, None, None]


shares = st.floats(0.01, 0.99)


@settings(max_examples=12, deadline=None)
@given(
    masks=st.lists(shares, min_size=2, max_size=4),
    level=st.floats(1e-3, 1e3),
    source=st.sampled_from(["remix", "others"]),
    passes=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_what_is_moved_is_conserved(masks, level, source, passes, seed):
    mixture = level * np.random.default_rng(seed).gamma(0.5, 1.0, (2, FREQ, TIME)).astype(np.float32)
    rules = {"plus_source": source, "plus_conserves": True, "plus_passes": passes}
    with jax.disable_jit():
        out = run(mixture, masks, soft_plus, **rules)
    # Float32 keeps about 7 digits of each of a dozen sums and products.
    np.testing.assert_allclose(out.sounds.sum(0) + out.remaining, mixture, rtol=1e-5, atol=1e-6 * level)
    assert np.all(np.asarray(out.sounds) >= 0) and np.all(np.asarray(out.remaining) >= 0)
    assert np.all(np.asarray(out.remixes) >= 0)


ALL = {"plus_source": "others", "plus_conserves": True, "plus_passes": 2}


def test_loops_and_skipped_steps_compute_the_same():
    mixture = np.random.default_rng(0).gamma(0.5, 1.0, (2, FREQ, TIME)).astype(np.float32)
    ways = ({}, {"unroll": False}, {"unroll": False, "skip_finished": True, "epsilon_relative": 0.01})
    one, *others = (run(mixture, [0.6, 0.5, 0.4], soft_plus, **ALL, **way) for way in ways)
    for other in others:
        for name in set(one._fields) - {"statistics"}:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("skip_finished", [False, True])
def test_an_inactive_sample_stays_untouched_and_independent(skip_finished):
    mixture = np.random.default_rng(0).gamma(0.5, 1.0, (2, FREQ, TIME)).astype(np.float32)
    mixture[0, :, :] = 0.0
    mixture[0, 0, 0] = 1.0
    # What the Plus-Net takes from the remaining mixture ends the first sample after two steps, the second one never.
    options = {"skip_finished": skip_finished, "unroll": False, "epsilon_relative": 0.05} | ALL
    together, alone = (run(x, [0.6, 0.5, 0.4], soft_plus, **options) for x in (mixture, mixture[:1]))
    assert np.asarray(together.active).T.tolist() == [[True, True, False], [True, True, True]]
    np.testing.assert_array_equal(np.asarray(together.sounds)[2, 0], 0.0)
    inactive = np.tile(~np.asarray(together.active), (2, 1))
    assert np.all(np.asarray(together.plus_logits)[inactive] == -np.inf)
    assert np.all(np.asarray(together.remixes)[inactive] == 0.0)
    for name in ("sounds", "plus_logits", "remixes", "incomplete", "before"):
        np.testing.assert_allclose(
            getattr(together, name)[:, :1], getattr(alone, name), rtol=1e-6, atol=1e-7, err_msg=name
        )
    np.testing.assert_allclose(together.sounds.sum(0) + together.remaining, mixture, rtol=1e-5, atol=1e-6)


def test_replaying_the_soft_masks_gives_the_soft_sounds():
    mixture = np.random.default_rng(1).gamma(0.5, 1.0, (2, FREQ, TIME)).astype(np.float32)
    for rules in ({}, {"plus_conserves": True}, ALL):
        out = run(mixture, [0.6, 0.5, 0.4], soft_plus, **rules)
        parts = out.masks * out.before
        if rules == ALL:  # what the Plus-Net took from the remaining mixture is no part of a mask
            parts = out.incomplete[:3]
        again = jax.jit(lambda *given, rules=rules: replayed(*given, rules=Rules(**rules)))(
            parts, jax.nn.sigmoid(out.plus_logits), out.remixes, mixture
        )
        np.testing.assert_allclose(again.sounds, out.sounds, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(again.incomplete, out.incomplete, rtol=1e-4, atol=1e-6)


def test_each_call_has_its_own_statistics():
    assert [plus_sets(*sizes) for sizes in ((1, 1), (2, 1), (3, 1), (2, 2), (3, 3))] == [1, 1, 2, 3, 8]
    # Trained on three sounds in two passes: steps 1 and 2, then the sweep's 0, 1 and 2.
    sets = {"mean": jnp.arange(5)}
    np.testing.assert_array_equal(statistics_for_calls(sets, 3, 2)["mean"], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(statistics_for_calls(sets, 4, 2)["mean"], [0, 1, 1, 2, 3, 4, 4])
    np.testing.assert_array_equal(statistics_for_calls(sets, 2, 2)["mean"], [0, 2, 3])
    np.testing.assert_array_equal(statistics_for_calls({"mean": jnp.arange(1)}, 3, 2)["mean"], [0] * 5)
    np.testing.assert_array_equal(statistics_for_calls({"mean": jnp.arange(2)}, 4, 1)["mean"], [0, 1, 1])


def test_gradients_reach_the_plus_net_s_mask_of_every_call():
    def first_sound(logits):
        table = iter(logits)
        out = separated(ONE, [0.5, 0.5], lambda inputs: jnp.full_like(inputs.sound, next(table)), **ALL)
        return out.sounds[0, 0, 0, 0]

    with jax.disable_jit():
        by_call = jax.grad(first_sound)(jnp.zeros(3))
    # Half of 4 leaves in the step: 2. Half of the other 6 comes in the sweep: 5. Half of that leaves again: 2.5. The
    # derivative of sigmoid is 1/4; moving a part of x at the first call changes what comes back at the second by half.
    np.testing.assert_allclose(by_call, [-0.25 * 4 * 0.5 * 0.5, 0.25 * 6 * 0.5, -0.25 * 5], rtol=1e-6)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"plus_source": "rest"}, "plus_source='rest' is unknown; use one of remix, others"),
        ({"plus_passes": 0}, "plus_passes=0 must be at least 1"),
        ({"plus_passes": 2}, "plus_passes=2 would add the same part to a sound in every pass; set plus_conserves"),
        ({"plus_conserves": True, "mask_on": "original"}, "with mask_on=original, subtracted=solo and floor=0 they do"),
    ],
)
def test_rules_that_do_not_go_together_are_refused(rules, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rules(**rules)
