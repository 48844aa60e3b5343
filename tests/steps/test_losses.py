import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Networks, Rules, minus_plus
from mpnet_jax.steps.losses import (
    Objective,
    binary_cross_entropy,
    binary_target,
    magnitude_weight,
    mask_loss,
    ratio_target,
    separation_loss,
    share_loss,
)


def test_weight_by_hand():
    mixture = jnp.array([0.0, 1e-4, np.e - 1, 1e6])
    np.testing.assert_allclose(magnitude_weight(mixture), [1e-3, 1e-3, 1.0, 10.0], rtol=1e-6)


def test_cross_entropy_by_hand_and_against_optax():
    # -log(1/2); -log(sigmoid(ln 3)) = -log(3/4); half and half of 3/4 and 1/4; the far ends without overflow.
    logits = jnp.array([0.0, np.log(3.0), np.log(3.0), 200.0, -200.0])
    targets = jnp.array([1.0, 1.0, 0.5, 0.0, 0.0])
    expected = [np.log(2), np.log(4 / 3), (np.log(4 / 3) + np.log(4)) / 2, 200.0, 0.0]
    np.testing.assert_allclose(binary_cross_entropy(logits, targets), expected, rtol=1e-6)
    key = jax.random.key(0)
    logits, targets = 10 * jax.random.normal(key, (50,)), jax.random.uniform(key, (50,))
    np.testing.assert_allclose(
        binary_cross_entropy(logits, targets),
        optax.sigmoid_binary_cross_entropy(logits, targets),
        rtol=1e-5,
        atol=1e-6,
    )


def test_gradient_of_cross_entropy_is_the_difference():
    logits, targets = jnp.array([-3.0, 0.0, 0.5, 30.0]), jnp.array([0.0, 1.0, 1.0, 0.25])
    gradient = jax.grad(lambda x: jnp.sum(binary_cross_entropy(x, targets)))(logits)
    np.testing.assert_allclose(gradient, jax.nn.sigmoid(logits) - targets, atol=1e-6)


def test_target_is_one_where_a_source_has_more_than_half():
    source, reference = jnp.array([0.0, 0.4, 0.5, 0.6, 2.0]), jnp.array([0.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(binary_target(source, reference), [0.0, 0.0, 0.0, 1.0, 1.0])


def test_ratio_target_is_the_share_between_zero_and_one():
    source, reference = jnp.array([0.0, 0.4, 2.0, 0.0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(ratio_target(source, reference), [0.0, 0.4, 1.0, 0.0], rtol=1e-6)


def test_share_loss_by_hand_and_with_a_gradient_beyond_its_ends():
    share, targets = jnp.array([0.25, 1.5, -0.5]), jnp.array([1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        share_loss(share, targets, distance="cross_entropy"), [np.log(4), 1e-6, -np.log(1e-6)], rtol=2e-2, atol=1e-7
    )
    np.testing.assert_allclose(share_loss(share, targets, distance="absolute"), [0.75, 0.0, 1.0], rtol=1e-6)
    for distance in ("cross_entropy", "absolute"):
        slope = jax.grad(lambda x, d=distance: share_loss(x, jnp.zeros(()), distance=d))
        assert float(slope(jnp.array(1.5))) >= 1.0


PAPER = Rules()

# One bin, two sources, the mixture 3: the first step's mask is 2/3, the second's 1/2.
LOGITS = (np.log(2.0), 0.0)


def one_bin(biases, sources, order=((1, 0),), plus_logit=None, rules=PAPER, **options):
    mixture = jnp.full((1, 1, 1), 3.0)
    plus_net = None if plus_logit is None else lambda remix, sound, s: (jnp.full_like(sound, plus_logit), s)
    separation = minus_plus(
        mixture,
        Candidates(jnp.ones((1, 2, 1))),
        Networks(
            lambda remaining, bias: (jnp.broadcast_to(bias, (*remaining.shape, 1)), bias),
            plus_net,
            {"minus": biases, "plus": jnp.zeros(1)},
        ),
        steps=2,
        rules=rules,
        order=jnp.array(order),
    )
    objective = Objective(**({"remaining_weight": 0.25} | options))
    return separation_loss(
        separation,
        mixture,
        sources,
        rules=rules,
        objective=objective,
        minus_weight=1.0,
        with_plus=plus_logit is not None,
    )


def test_loss_by_hand():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    loss, parts = one_bin(jnp.array(LOGITS), sources)
    # Source 1 holds 2 of 3: target 1 on a mask of 2/3. Then 1 remains and is source 0's: target 1 on 1/2.
    weight = np.log(4.0)
    mask = weight * (np.log(3 / 2) + np.log(2)) / 2
    remaining = weight * 0.5
    np.testing.assert_allclose(parts["loss_minus"], mask, rtol=1e-6)
    np.testing.assert_allclose(parts["loss_remaining"], remaining, rtol=1e-6)
    np.testing.assert_allclose(loss, mask + 0.25 * remaining, rtol=1e-6)


def test_ratio_loss_by_hand():
    sources = jnp.array([0.5, 2.5]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, mask="ratio", distance="absolute")
    # Source 1's share of 3 is 5/6, its mask 2/3; source 0's share of the 1 that is left is 1/2, as its mask.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (1 / 6) / 2, rtol=1e-5)


def test_cross_entropy_of_ratios_by_hand():
    sources = jnp.array([0.5, 2.5]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, mask="ratio")
    first = -(5 / 6 * np.log(2 / 3) + 1 / 6 * np.log(1 / 3))  # shares as below; the second is 1/2 of 1/2
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (first + np.log(2)) / 2, rtol=1e-5)


def test_a_mask_that_is_full_by_mistake_is_drawn_back_by_cross_entropy_alone():
    full, target = jnp.array(20.0), jnp.array(0.2)
    pulls = {
        d: float(jax.grad(lambda x, d=d: mask_loss(x, target, distance=d))(full)) for d in ("cross_entropy", "absolute")
    }
    assert pulls["cross_entropy"] == pytest.approx(0.8)
    assert pulls["absolute"] < 1e-6


def test_sources_can_weigh_by_their_place():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, index_ratio=True)
    # As by hand above; source 1, which comes first, counts 2 / 2, source 0 half of that.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (np.log(3 / 2) + np.log(2) / 2) / 2, rtol=1e-6)


def test_on_the_original_mixture_targets_are_shares_of_it():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, rules=Rules(mask_on="original"))
    # Source 0 holds 1 of 3: target 0 on 1/2.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (np.log(3 / 2) + np.log(2)) / 2, rtol=1e-6)


@pytest.mark.parametrize("plus", ["effective", "sum"])
def test_plus_loss_by_hand(plus):
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    loss, parts = one_bin(
        jnp.array(LOGITS),
        sources,
        plus_logit=-np.log(4.0),
        mask="ratio",
        plus_distance="absolute",
        plus=plus,
        remaining_weight=0.0,
    )
    # Sounds: 2, then 1/2 of 1 and 1/5 of 2: 0.9. Shares of 3: 2/3 (true 2/3) and 0.3 (true 1/3).
    # The sum of masks: 2/3, then 1/2 + 1/5 = 0.7.
    second = {"effective": abs(0.3 - 1 / 3), "sum": 0.7 - 1 / 3}[plus]
    np.testing.assert_allclose(parts["loss_plus"], np.log(4.0) * second / 2, rtol=1e-5)
    np.testing.assert_allclose(loss, parts["loss_minus"] + parts["loss_plus"], rtol=1e-6)


def test_targets_follow_the_chosen_sources_and_what_remains():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    weight = np.log(4.0)
    _, parts = one_bin(jnp.array(LOGITS), sources, order=((0, 1),))
    # Source 0 first: target 0 on 2/3. Then 1 remains and source 1 is 2: target 1 on 1/2.
    np.testing.assert_allclose(parts["loss_minus"], weight * (np.log(3) + np.log(2)) / 2, rtol=1e-6)


def test_targets_have_no_gradient_and_what_remains_has_one_through_all_steps():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    biases = jnp.array(LOGITS)
    by_mask = jax.grad(lambda b: one_bin(b, sources)[1]["loss_minus"])(biases)
    weight = np.log(4.0)
    # sigmoid - target, mean over two steps: nothing comes in through the second step's target.
    np.testing.assert_allclose(by_mask, weight / 2 * np.array([2 / 3 - 1, 1 / 2 - 1]), rtol=1e-5)
    by_remaining = jax.grad(lambda b: one_bin(b, sources)[1]["loss_remaining"])(biases)
    # remaining = 3 (1 - m1) (1 - m2), m' = m (1 - m).
    expected = -weight * 3 * np.array([2 / 3 * 1 / 3 * 1 / 2, 1 / 3 * 1 / 4])
    np.testing.assert_allclose(by_remaining, expected, rtol=1e-5)


def test_what_remains_before_the_last_step_has_no_gradient():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    of_biases = jax.value_and_grad(lambda b: one_bin(b, sources, remaining="before")[1]["loss_remaining"])
    value, gradient = of_biases(jnp.array(LOGITS))
    # The last step was given 1; 0.01 of it is let be.
    np.testing.assert_allclose(value, np.log(4.0) * 0.99, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("argument", [0, 1])
def test_the_target_has_no_gradient(argument):
    source, reference = jnp.array([0.3, 0.8]), jnp.array([1.0, 1.0])
    gradient = jax.grad(lambda *a: jnp.sum(binary_target(*a)), argnums=argument)(source, reference)
    np.testing.assert_array_equal(gradient, [0.0, 0.0])
