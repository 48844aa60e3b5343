import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks
from mpnet_jax.steps.losses import Objective, class_loss, separation_loss
from mpnet_jax.steps.mask_losses import (
    binary_cross_entropy,
    binary_target,
    magnitude_weight,
    mask_loss,
    ratio_target,
    share_loss,
)


def test_magnitude_weight():
    mixture = jnp.array([0.0, 1e-4, np.e - 1, 1e6])
    np.testing.assert_allclose(magnitude_weight(mixture), [1e-3, 1e-3, 1.0, 10.0], rtol=1e-6)


def test_cross_entropy_equals_hand_calculation_and_optax():
    # -log(1/2); -log(sigmoid(ln 3)) = -log(3/4); the mean of -log(3/4) and -log(1/4); no overflow for large logits.
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


def test_gradient_of_cross_entropy_is_mask_minus_target():
    logits, targets = jnp.array([-3.0, 0.0, 0.5, 30.0]), jnp.array([0.0, 1.0, 1.0, 0.25])
    gradient = jax.grad(lambda x: jnp.sum(binary_cross_entropy(x, targets)))(logits)
    np.testing.assert_allclose(gradient, jax.nn.sigmoid(logits) - targets, atol=1e-6)


def test_binary_target_is_one_where_the_source_exceeds_half():
    source, reference = jnp.array([0.0, 0.4, 0.5, 0.6, 2.0]), jnp.array([0.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(binary_target(source, reference), [0.0, 0.0, 0.0, 1.0, 1.0])


def test_ratio_target_is_a_clipped_share():
    source, reference = jnp.array([0.0, 0.4, 2.0, 0.0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(ratio_target(source, reference), [0.0, 0.4, 1.0, 0.0], rtol=1e-6)


def test_share_loss_has_a_gradient_outside_zero_to_one():
    share, targets = jnp.array([0.25, 1.5, -0.5]), jnp.array([1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        share_loss(share, targets, distance="cross_entropy"), [np.log(4), 1e-6, -np.log(1e-6)], rtol=2e-2, atol=1e-7
    )
    np.testing.assert_allclose(share_loss(share, targets, distance="absolute"), [0.75, 0.0, 1.0], rtol=1e-6)
    for distance in ("cross_entropy", "absolute"):
        slope = jax.grad(lambda x, d=distance: share_loss(x, jnp.zeros(()), distance=d))
        assert float(slope(jnp.array(1.5))) >= 1.0


PAPER = Rules()

# One bin, two sources, mixture 3; the masks of the two steps are 2/3 and 1/2.
LOGITS = (np.log(2.0), 0.0)


def one_bin(biases, sources, order=((1, 0),), plus_logit=None, rules=PAPER, **options):
    mixture = jnp.full((1, 1, 1), 3.0)
    plus_net = None if plus_logit is None else lambda given, s: (jnp.full_like(given.sound, plus_logit), s)
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


def test_loss_of_binary_masks():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    loss, parts = one_bin(jnp.array(LOGITS), sources)
    # Source 1 is 2 of 3: target 1, mask 2/3. Then 1 remains, which is source 0: target 1, mask 1/2.
    weight = np.log(4.0)
    mask = weight * (np.log(3 / 2) + np.log(2)) / 2
    remaining = weight * 0.5
    np.testing.assert_allclose(parts["loss_minus"], mask, rtol=1e-6)
    np.testing.assert_allclose(parts["loss_remaining"], remaining, rtol=1e-6)
    np.testing.assert_allclose(loss, mask + 0.25 * remaining, rtol=1e-6)


def test_absolute_loss_of_ratio_masks():
    sources = jnp.array([0.5, 2.5]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, mask="ratio", distance="absolute")
    # Source 1: target 5/6 (2.5 of 3), mask 2/3. Source 0: target 1/2 (0.5 of the remaining 1), mask 1/2.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (1 / 6) / 2, rtol=1e-5)


def test_cross_entropy_loss_of_ratio_masks():
    sources = jnp.array([0.5, 2.5]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, mask="ratio")
    first = -(5 / 6 * np.log(2 / 3) + 1 / 6 * np.log(1 / 3))  # target 5/6; in step 2, target and mask are 1/2
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (first + np.log(2)) / 2, rtol=1e-5)


def test_only_cross_entropy_has_a_gradient_for_a_saturated_mask():
    logit, target = jnp.array(20.0), jnp.array(0.2)
    slopes = {
        d: float(jax.grad(lambda x, d=d: mask_loss(x, target, distance=d))(logit))
        for d in ("cross_entropy", "absolute")
    }
    assert slopes["cross_entropy"] == pytest.approx(0.8)
    assert slopes["absolute"] < 1e-6


def test_index_ratio_weights_the_sources_by_index():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, index_ratio=True)
    # As in the test of binary masks, with weight 2 / 2 for source 1 and 1 / 2 for source 0.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (np.log(3 / 2) + np.log(2) / 2) / 2, rtol=1e-6)


def test_targets_are_relative_to_the_mixture_the_masks_apply_to():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    _, parts = one_bin(jnp.array(LOGITS), sources, rules=Rules(mask_on="original"))
    # Source 0 is 1 of 3: target 0, mask 1/2.
    np.testing.assert_allclose(parts["loss_minus"], np.log(4.0) * (np.log(3 / 2) + np.log(2)) / 2, rtol=1e-6)


@pytest.mark.parametrize("plus", ["effective", "sum"])
def test_loss_of_the_plus_net(plus):
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
    # Sounds: 2, then 1/2 * 1 + 1/5 * 2 = 0.9. Shares of the mixture: 2/3 (target 2/3) and 0.3 (target 1/3).
    # Sums of the masks: 2/3, then 1/2 + 1/5 = 0.7.
    second = {"effective": abs(0.3 - 1 / 3), "sum": 0.7 - 1 / 3}[plus]
    np.testing.assert_allclose(parts["loss_plus"], np.log(4.0) * second / 2, rtol=1e-5)
    np.testing.assert_allclose(loss, parts["loss_minus"] + parts["loss_plus"], rtol=1e-6)


def test_targets_follow_the_order_of_the_sources():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    weight = np.log(4.0)
    _, parts = one_bin(jnp.array(LOGITS), sources, order=((0, 1),))
    # Source 0 comes first: target 0, mask 2/3. Then 1 remains and source 1 is 2: target 1, mask 1/2.
    np.testing.assert_allclose(parts["loss_minus"], weight * (np.log(3) + np.log(2)) / 2, rtol=1e-6)


def test_gradients_flow_through_the_remaining_mixture_but_not_the_targets():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    biases = jnp.array(LOGITS)
    by_mask = jax.grad(lambda b: one_bin(b, sources)[1]["loss_minus"])(biases)
    weight = np.log(4.0)
    # The mean over two steps of sigmoid - target; the target of step 2 adds no gradient.
    np.testing.assert_allclose(by_mask, weight / 2 * np.array([2 / 3 - 1, 1 / 2 - 1]), rtol=1e-5)
    by_remaining = jax.grad(lambda b: one_bin(b, sources)[1]["loss_remaining"])(biases)
    # remaining = 3 (1 - m1) (1 - m2), m' = m (1 - m).
    expected = -weight * 3 * np.array([2 / 3 * 1 / 3 * 1 / 2, 1 / 3 * 1 / 4])
    np.testing.assert_allclose(by_remaining, expected, rtol=1e-5)


def test_the_mixture_before_the_last_step_has_no_gradient():
    sources = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    of_biases = jax.value_and_grad(lambda b: one_bin(b, sources, remaining="before")[1]["loss_remaining"])
    value, gradient = of_biases(jnp.array(LOGITS))
    # The input of the last step is 1, of which 0.01 is tolerated.
    np.testing.assert_allclose(value, np.log(4.0) * 0.99, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("argument", [0, 1])
def test_binary_target_has_no_gradient(argument):
    source, reference = jnp.array([0.3, 0.8]), jnp.array([1.0, 1.0])
    gradient = jax.grad(lambda *a: jnp.sum(binary_target(*a)), argnums=argument)(source, reference)
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


def test_class_loss_is_the_mean_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]))
    expected = -(np.log(0.25) + np.log(0.8)) / 2
    np.testing.assert_allclose(class_loss(logits, jnp.array([[1, 2]])), expected, rtol=1e-5)
