import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.minus_plus import by_candidate, energy_order, minus_plus, subtract

FREQ, TIME = 6, 5
LARGE = 100.0  # sigmoid(100) is 1 in float32, sigmoid(-100) 4e-44


def disjoint_sources(count, batch=2, seed=0):
    """Sources of which each bin holds one, and of distinct energies: (batch, source, freq, time)."""
    rng = np.random.default_rng(seed)
    owner = rng.permuted(np.arange(FREQ * TIME) % count, axis=-1).reshape(1, 1, FREQ, TIME)
    gains = np.stack([rng.permutation(count) + 1.0 for _ in range(batch)])
    values = rng.uniform(0.9, 1.1, (batch, count, FREQ, TIME)) * gains[:, :, None, None]
    return jnp.asarray(values * (owner == np.arange(count)[:, None, None]), jnp.float32)


def oracle(sources):
    """A sound network that knows the truth: map n is the logit of source n's share of what remains."""

    def sound_fn(remaining, statistics):
        share = jnp.clip(sources / jnp.maximum(remaining, 1e-30)[:, None], 0.0, 1.0)
        logits = jnp.clip(jnp.log(share) - jnp.log1p(-share), -LARGE, LARGE)
        return jnp.moveaxis(logits, 1, -1), statistics

    return sound_fn


def vectors_of(sources):
    """Candidate n looks at feature map n."""
    batch, count = sources.shape[:2]
    return jnp.broadcast_to(jnp.eye(count), (batch, count, count))


def run(sources, *, sound_fn=None, steps=None, **options):
    steps = steps or sources.shape[1]
    statistics = options.pop("statistics", jnp.zeros(steps))
    sound_fn = sound_fn or oracle(sources)
    return jax.jit(
        lambda mixture, vectors: minus_plus(mixture, vectors, sound_fn, statistics=statistics, steps=steps, **options)
    )(sources.sum(1), vectors_of(sources))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_an_oracle_separates_exactly_the_loudest_first(count):
    sources = disjoint_sources(count)
    out = run(sources)
    separated = by_candidate(out.sounds, out.chosen, count)
    np.testing.assert_allclose(separated, sources, atol=1e-6)
    np.testing.assert_allclose(out.remaining, 0.0, atol=1e-6)
    np.testing.assert_array_equal(out.chosen.T, energy_order(sources))
    assert np.all(out.active)


def test_overlapping_sources_are_separated_by_their_shares():
    sources = (
        jax.random.uniform(jax.random.key(0), (2, 3, FREQ, TIME), minval=0.2)
        * jnp.array([1.0, 3.0, 2.0])[:, None, None]
    )
    out = run(sources)
    np.testing.assert_array_equal(out.chosen.T, [[1, 2, 0]] * 2)
    # Logits and back, then differences: a few float32 roundings of values of up to six.
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, 3), sources, atol=2e-5)
    np.testing.assert_allclose(out.remaining, 0.0, atol=2e-5)


def test_each_step_sees_what_the_earlier_ones_left():
    sources = disjoint_sources(3)
    out = run(sources)
    np.testing.assert_array_equal(out.before[0], sources.sum(1))
    for step in range(2):
        np.testing.assert_allclose(out.before[step + 1], out.before[step] - out.sounds[step], atol=1e-6)
    np.testing.assert_allclose(out.masks * out.before, out.sounds, rtol=1e-6)
    np.testing.assert_allclose(jax.nn.sigmoid(out.mask_logits), out.masks, rtol=1e-6)


def test_energies_are_those_of_every_candidate_s_sound():
    sources = disjoint_sources(3)
    out = run(sources)
    np.testing.assert_allclose(out.energies[0], sources.mean((2, 3)), rtol=1e-5)
    first = jax.nn.one_hot(out.chosen[0], 3, dtype=bool)
    np.testing.assert_allclose(out.energies[1], jnp.where(first, 0.0, sources.mean((2, 3))), atol=1e-6)


def test_a_given_order_is_kept():
    sources = disjoint_sources(3)
    order = jnp.array([[2, 0, 1], [1, 2, 0]])
    out = run(sources, order=order)
    np.testing.assert_array_equal(out.chosen.T, order)
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, 3), sources, atol=1e-6)
    np.testing.assert_array_equal(out.energies, np.zeros((3, 2, 3)))


def test_a_taken_candidate_is_not_taken_again():
    # These features give every candidate half of what remains, so that the first would always win.
    sources = disjoint_sources(4)
    out = run(sources, sound_fn=lambda remaining, s: (jnp.zeros((*remaining.shape, 4)), s))
    np.testing.assert_array_equal(np.sort(out.chosen, axis=0).T, [[0, 1, 2, 3]] * 2)


def test_silence_and_what_is_left_end_the_recursion_sample_by_sample():
    sources = disjoint_sources(3, batch=3)
    sounding = jnp.array([[True, True, True], [False, True, False], [False, False, False]])
    sources = sources * sounding[:, :, None, None]
    out = run(sources, epsilon=1e-3)
    np.testing.assert_array_equal(out.active.T, [[True, True, True], [True, False, False], [False, False, False]])
    inactive = ~np.asarray(out.active)
    assert np.all(np.asarray(out.sounds)[inactive] == 0)
    assert np.all(np.asarray(out.masks)[inactive] == 0)
    np.testing.assert_allclose(out.sounds.sum(0), sources.sum(1), atol=1e-6)


def test_epsilon_is_a_share_of_the_mixture_s_level():
    # Half of what remains at each step: 1, 1/2, 1/4, 1/8 of the mixture.
    half = lambda remaining, s: (jnp.zeros((*remaining.shape, 4)), s)  # noqa: E731
    for level in (1e-3, 1e3):
        out = run(disjoint_sources(4) * level, sound_fn=half, epsilon=0.2)
        np.testing.assert_array_equal(out.active.T, [[True, True, True, False]] * 2)


def test_without_epsilon_every_step_runs():
    out = run(disjoint_sources(3) * jnp.array([1.0, 0.0, 0.0])[:, None, None])
    assert np.all(out.active)
    assert np.all(np.isfinite(out.sounds))


def test_more_steps_than_candidates_are_refused():
    with pytest.raises(ValueError, match="steps=4 must be at most the number of candidates, 3"):
        run(disjoint_sources(3), steps=4)


def test_fewer_steps_leave_the_quieter_sounds():
    sources = disjoint_sources(3)
    out = run(sources, steps=2)
    quietest = energy_order(sources)[:, 2]
    np.testing.assert_allclose(out.remaining, sources[jnp.arange(2), quietest], atol=1e-6)


def test_written_out_equals_rolled():
    sources = disjoint_sources(3)
    soft = lambda remaining, s: (0.01 * oracle(sources)(remaining, s)[0], s)  # noqa: E731
    rolled, unrolled = (run(sources, sound_fn=soft, unroll=unroll, epsilon=1e-3) for unroll in (False, True))
    for one, other in zip(jax.tree.leaves(rolled), jax.tree.leaves(unrolled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_each_step_has_statistics_of_its_own():
    sources = disjoint_sources(3)

    def sound_fn(remaining, statistics):
        features, _ = oracle(sources)(remaining, None)
        return features, {"seen": statistics["set"], "level": jnp.mean(remaining)}

    out = run(sources, sound_fn=sound_fn, statistics={"set": jnp.array([10.0, 20.0, 30.0])})
    np.testing.assert_array_equal(out.statistics["seen"], [10.0, 20.0, 30.0])
    np.testing.assert_allclose(out.statistics["level"], out.before.mean((1, 2, 3)), rtol=1e-5)


def test_gradient_reaches_the_features_of_every_step():
    sources = disjoint_sources(2)
    mixture, vectors = sources.sum(1), vectors_of(sources)

    def left(bias):
        # A bias a step, handed in as its statistics.
        out = minus_plus(
            mixture,
            vectors,
            lambda remaining, b: (jnp.broadcast_to(b, (*remaining.shape, 2)), b),
            statistics=bias,
            steps=2,
        )
        return jnp.mean(out.remaining)

    # remaining = S (1 - sigmoid(b0)) (1 - sigmoid(b1)), at zero: -S / 8 for each.
    np.testing.assert_allclose(jax.grad(left)(jnp.zeros(2)), -float(mixture.mean()) / 8 * np.ones(2), rtol=1e-5)


def test_subtraction_never_goes_below_zero():
    mixture, sound = jnp.array([[[1.0, 2.0]]]), jnp.array([[[0.25, 3.0]]])
    np.testing.assert_array_equal(subtract(mixture, sound), [[[0.75, 0.0]]])


def test_energy_order_is_descending():
    sources = jnp.array([1.0, 3.0, 2.0])[None, :, None, None] * jnp.ones((1, 3, 2, 2))
    np.testing.assert_array_equal(energy_order(sources), [[1, 2, 0]])


def test_by_candidate_leaves_zeros_where_none_was_taken():
    values = jnp.arange(1.0, 5.0).reshape(2, 2, 1, 1)  # (step, batch): 1 2 | 3 4
    out = by_candidate(values, jnp.array([[2, 0], [0, 1]]), 3)
    np.testing.assert_array_equal(out[:, :, 0, 0], [[3.0, 0.0, 1.0], [2.0, 4.0, 0.0]])
