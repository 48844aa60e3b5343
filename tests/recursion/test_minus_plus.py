"""Tests of the recursion with stand-ins for the networks.

NumPy makes the inputs and checks the outputs, since JAX compiles every single operation outside of a jitted function.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.recursion import minus_plus as recursion
from mpnet_jax.recursion.candidates import Candidates, mean_power
from mpnet_jax.recursion.minus_plus import Loop, minus_plus, subtract
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks

FREQ, TIME = 6, 5
energy_order = jax.jit(recursion.energy_order, static_argnums=1)
by_candidate = jax.jit(recursion.by_candidate, static_argnums=2)
LARGE = 100.0  # sigmoid(100) is 1 in float32, sigmoid(-100) 4e-44


def disjoint_sources(count, batch=2, seed=0):
    """Returns sources of distinct energies with one source per bin: (batch, source, freq, time)."""
    rng = np.random.default_rng(seed)
    owner = rng.permuted(np.arange(FREQ * TIME) % count, axis=-1).reshape(1, 1, FREQ, TIME)
    gains = np.stack([rng.permutation(count) + 1.0 for _ in range(batch)])
    values = rng.uniform(0.9, 1.1, (batch, count, FREQ, TIME)) * gains[:, :, None, None]
    return np.float32(values * (owner == np.arange(count)[:, None, None]))


def shared_sources(count, batch=2):
    """Returns sources of distinct energies that all sound in every bin."""
    values = np.random.default_rng(0).uniform(0.2, 1.0, (batch, count, FREQ, TIME))
    gains = np.stack([np.random.default_rng(i).permutation(count) + 1.0 for i in range(batch)])
    return np.float32(values * gains[:, :, None, None])


def silent_from(sources, first):
    """Returns sources of which those from a number on are silent."""
    return sources * np.float32(np.arange(sources.shape[1]) < first)[:, None, None]


def oracle(sources, *, mask_on="remaining", binary=False):
    """Returns a perfect Minus-Net: map n holds the logits of the ideal ratio mask of source n."""

    def minus(remaining, statistics):
        reference = remaining if mask_on == "remaining" else sources.sum(1)
        share = jnp.clip(sources / jnp.maximum(reference, 1e-30)[:, None], 0.0, 1.0)
        if binary:
            share = (share > 0.5).astype(share.dtype)
        logits = jnp.clip(jnp.log(share) - jnp.log1p(-share), -LARGE, LARGE)
        return jnp.moveaxis(logits, 1, -1), statistics

    return minus


def restoring_oracle(sources):
    """Returns a perfect Plus-Net: in step k, it restores exactly what the k-th loudest sound lacks."""
    loudest_first = np.take_along_axis(sources, np.asarray(energy_order(sources))[..., None, None], axis=1)

    def plus(remix, sound, step):
        share = jnp.clip((jnp.asarray(loudest_first)[:, step] - sound) / jnp.maximum(remix, 1e-30), 0.0, 1.0)
        return jnp.clip(jnp.log(share) - jnp.log1p(-share), -LARGE, LARGE), step

    return plus


def vectors_of(sources):
    """Returns one-hot candidate vectors: candidate n selects feature map n."""
    batch, count = sources.shape[:2]
    return np.broadcast_to(np.eye(count, dtype=np.float32), (batch, count, count))


def blind(plus):
    """Returns a Plus-Net that is given the remix and the sound alone, as in the paper."""
    return plus and (lambda given, statistics: plus(given.remix, given.sound, statistics))


def run(sources, *, minus=None, plus=None, steps=None, statistics=None, closed_by=None, **options):
    steps = steps or sources.shape[1]
    options["rules"] = Rules(**options.pop("rules", {}))
    statistics = {
        "minus": np.zeros(steps, np.float32) if statistics is None else statistics,
        "plus": np.arange(1, steps, dtype=np.int32),  # step index for `restoring_oracle`
    }

    # The oracle's sources are an argument too, so that the compilation cache has the program for other sources.
    def separated(sources, mixture, vectors, statistics):
        return minus_plus(
            mixture,
            Candidates(vectors, closed_by),
            Networks(minus or oracle(sources, mask_on=options["rules"].mask_on), blind(plus), statistics),
            steps=steps,
            **options,
        )

    return jax.device_get(jax.jit(separated)(sources, sources.sum(1), vectors_of(sources), statistics))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("mask_on", ["remaining", "original"])
@pytest.mark.parametrize("make_sources", [disjoint_sources, shared_sources])
def test_perfect_masks_separate_exactly_in_order_of_energy(count, mask_on, make_sources):
    sources = make_sources(count)  # their ideal ratio masks are binary if disjoint
    out = run(sources, rules={"mask_on": mask_on})
    # The logits, the sigmoid and the differences round values of up to twenty in float32.
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, count), sources, atol=5e-5)
    np.testing.assert_allclose(out.remaining, 0.0, atol=5e-5)
    np.testing.assert_array_equal(out.chosen.T, energy_order(sources))
    assert np.all(out.active)


@pytest.mark.parametrize("sounding", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("skip_finished", [False, True])
def test_silent_candidates_are_not_counted(sounding, skip_finished):
    sources = silent_from(disjoint_sources(6), sounding)
    out = run(sources, rules={"epsilon_relative": 1e-3}, skip_finished=skip_finished)
    np.testing.assert_array_equal(out.active.sum(0), [sounding] * 2)
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, 6), sources, atol=1e-5)


def test_a_very_quiet_sound_is_found_under_a_loud_one():
    sources = disjoint_sources(2) * np.float32([1.0, 1e-4])[:, None, None]
    out = run(sources, rules={"epsilon_relative": 1e-6})
    np.testing.assert_array_equal(out.chosen.T, [[0, 1]] * 2)
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, 2), sources, rtol=1e-5)


def test_the_plus_net_restores_what_the_first_mask_removed():
    # A binary mask assigns a bin in which both sources sound to the louder one only.
    values = np.random.default_rng(0).uniform(0.5, 1.0, (2, 2, FREQ, TIME)).astype(np.float32)
    sources = values * np.float32([1.0, 8.0])[:, None, None]
    sources[:, 1, :3] = 0.0
    quieter, louder = sources[:, 0], sources[:, 1]
    minus = oracle(sources, binary=True)
    alone, both = (run(sources, minus=minus, plus=plus) for plus in (None, restoring_oracle(sources)))
    assert float(alone.sounds[1].sum()) < 0.6 * float(quieter.sum())
    np.testing.assert_array_equal(alone.sounds[1], np.where(louder > 0, 0.0, quieter))
    np.testing.assert_allclose(both.sounds[1], quieter, atol=1e-5)
    np.testing.assert_array_equal(both.sounds[0], alone.sounds[0])
    np.testing.assert_array_equal(both.remixes[1], both.sounds[0])


@pytest.mark.parametrize("subtracted", ["solo", "final"])
@pytest.mark.parametrize("mask_on", ["remaining", "original"])
def test_the_remix_is_the_sum_of_the_earlier_sounds(mask_on, subtracted):
    sources = shared_sources(4)
    quarter = lambda remixed, sound, s: (jnp.full_like(sound, -np.log(3.0)), s)  # noqa: E731
    out = run(sources, plus=quarter, rules={"mask_on": mask_on, "subtracted": subtracted})
    mixture = sources.sum(1)
    np.testing.assert_array_equal(out.remixes[0], 0.0)
    assert np.all(out.plus_logits[0] == -np.inf)
    for step in range(1, 4):
        earlier = out.sounds[:step].sum(0)
        if mask_on == "remaining":
            remix, solo = earlier, out.masks[step] * out.before[step]
            sound = solo + 0.25 * remix
        else:
            remix, solo = np.minimum(earlier, mixture), out.masks[step] * mixture
            sound = np.minimum(solo + 0.25 * remix, mixture)
        np.testing.assert_allclose(out.remixes[step], remix, rtol=1e-5)
        np.testing.assert_allclose(out.sounds[step], sound, rtol=1e-5)
        left = np.maximum(out.before[step] - {"solo": solo, "final": sound}[subtracted], 0)
        after = out.before[step + 1] if step < 3 else out.remaining
        np.testing.assert_allclose(after, left, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("subtraction", ["difference", "product"])
def test_restored_sound_is_not_subtracted_twice(subtraction):
    sources = shared_sources(4)
    half = lambda remixed, sound, s: (jnp.zeros_like(sound), s)  # noqa: E731
    alone, both = (run(sources, plus=plus, rules={"subtraction": subtraction}) for plus in (None, half))
    assert float(both.sounds[3].sum()) > float(alone.sounds[3].sum())
    # An earlier step subtracted it already: the masked parts and the remaining mixture still sum to the mixture.
    np.testing.assert_allclose(both.before, alone.before, rtol=1e-6)
    taken = (both.masks * both.before).sum(0)
    np.testing.assert_allclose(taken + both.remaining, sources.sum(1), rtol=1e-5)


def test_product_subtraction_scales_the_remaining_mixture():
    sources = shared_sources(3)
    half = lambda remaining, s: (jnp.zeros((*remaining.shape, 3)), s)  # noqa: E731
    for mask_on in ("remaining", "original"):
        out = run(sources, minus=half, rules={"mask_on": mask_on, "subtraction": "product"})
        np.testing.assert_allclose(out.remaining, sources.sum(1) / 8, rtol=1e-5)


def test_a_chosen_place_closes_its_neighbours():
    sources = np.arange(6.0, 0, -1, np.float32)[:, None, None] * np.ones((2, 6, FREQ, TIME), np.float32)
    places = np.arange(6)
    out = run(sources, steps=3, closed_by=jnp.asarray(abs(places[:, None] - places) <= 1))
    np.testing.assert_array_equal(out.chosen.T, [[0, 2, 4]] * 2)


def test_the_recursion_ends_when_every_candidate_is_closed():
    sources = disjoint_sources(4)
    out = run(sources, closed_by=jnp.ones((4, 4), bool))
    np.testing.assert_array_equal(out.active.T, [[True, False, False, False]] * 2)
    np.testing.assert_array_equal(out.chosen[1:], -1)
    np.testing.assert_array_equal(out.remaining, out.before[1])


def test_energy_may_be_power():
    # One loud bin against many quiet ones: more power, less magnitude.
    sources = np.zeros((1, 2, FREQ, TIME), np.float32)
    sources[0, 0, 0, 0], sources[0, 1, 1:] = 10.0, 1.0
    assert list(run(sources).chosen[:, 0]) == list(energy_order(sources)[0]) == [1, 0]
    by_power = run(sources, rules={"energy": mean_power})
    assert list(by_power.chosen[:, 0]) == list(energy_order(sources, mean_power)[0]) == [0, 1]


@pytest.mark.parametrize("rule", [{"mask_on": "rest"}, {"subtraction": "ratio"}])
def test_unknown_rules_are_refused(rule):
    with pytest.raises(ValueError, match="is unknown; use one of"):
        Rules(**rule)


def test_each_step_gets_the_remaining_mixture():
    sources = disjoint_sources(3)
    out = run(sources)
    np.testing.assert_array_equal(out.before[0], sources.sum(1))
    for step in range(2):
        np.testing.assert_allclose(out.before[step + 1], out.before[step] - out.sounds[step], atol=1e-6)
    np.testing.assert_allclose(np.asarray(jax.nn.sigmoid(out.mask_logits)) * out.before, out.sounds, rtol=1e-6)


def test_energies_are_those_of_the_candidates_sounds():
    sources = disjoint_sources(3)
    out = run(sources)
    np.testing.assert_allclose(out.energies[0], sources.mean((2, 3)), rtol=1e-5)
    first = np.eye(3, dtype=bool)[out.chosen[0]]
    np.testing.assert_allclose(out.energies[1], np.where(first, 0.0, sources.mean((2, 3))), atol=1e-6)


def test_a_given_order_is_kept():
    sources = disjoint_sources(3)
    order = jnp.asarray([[2, 0, 1], [1, 2, 0]])
    out = run(sources, order=order)
    np.testing.assert_array_equal(out.chosen.T, order)
    np.testing.assert_allclose(by_candidate(out.sounds, out.chosen, 3), sources, atol=1e-6)
    np.testing.assert_array_equal(out.energies, np.zeros((3, 2, 3)))


def test_a_candidate_is_chosen_only_once():
    # All candidates have the same energy, so without this rule the first would always be chosen.
    sources = disjoint_sources(4)
    out = run(sources, minus=lambda remaining, s: (jnp.zeros((*remaining.shape, 4)), s))
    np.testing.assert_array_equal(np.sort(out.chosen, axis=0).T, [[0, 1, 2, 3]] * 2)


def test_each_sample_ends_when_its_remaining_mixture_is_silent():
    sources = disjoint_sources(3, batch=3)
    sounding = np.array([[True, True, True], [False, True, False], [False, False, False]])
    sources = sources * sounding[:, :, None, None]
    out = run(sources, rules={"epsilon_relative": 1e-3})
    np.testing.assert_array_equal(out.active.T, [[True, True, True], [True, False, False], [False, False, False]])
    inactive = ~np.asarray(out.active)
    assert np.all(np.asarray(out.sounds)[inactive] == 0)
    assert np.all(np.asarray(out.masks)[inactive] == 0)
    assert np.all(np.asarray(out.chosen)[inactive] == -1)
    np.testing.assert_allclose(out.sounds.sum(0), sources.sum(1), atol=1e-6)


@pytest.mark.parametrize("skip_finished", [False, True])
def test_the_end_of_a_sample_does_not_depend_on_its_batch(skip_finished):
    sources = disjoint_sources(3, batch=2)
    sources[0, 1:] = 0.0  # one sound in the first sample, three in the second
    plus = lambda remix, sound, s: (remix - sound, s)  # noqa: E731
    options = {"rules": {"epsilon_relative": 1e-3}, "skip_finished": skip_finished}
    together = run(sources, minus=oracle(sources, binary=True), plus=plus, **options)
    alone = run(sources[:1], minus=oracle(sources[:1], binary=True), plus=plus, **options)
    assert list(together.active[:, 0]) == [True, False, False]
    for name in set(together._fields) - {"remaining", "statistics"}:
        np.testing.assert_allclose(getattr(alone, name), getattr(together, name)[:, :1], rtol=1e-6, err_msg=name)


def test_epsilon_is_relative_to_the_level_of_the_mixture():
    # Each step halves the remaining mixture: 1, 1/2, 1/4, 1/8.
    half = lambda remaining, s: (jnp.zeros((*remaining.shape, 4)), s)  # noqa: E731
    for level in (1e-3, 1e3):
        out = run(disjoint_sources(4) * level, minus=half, rules={"epsilon_relative": 0.2})
        np.testing.assert_array_equal(out.active.T, [[True, True, True, False]] * 2)


def test_a_faint_rest_in_many_places_ends_the_recursion_before_a_sound_in_few():
    faint, few = jnp.full((1, 10, 10), 0.2), jnp.zeros((1, 10, 10)).at[:, 0].set(1.0)
    mean, rms = Rules(), Rules(remainder="rms")
    assert float(mean.amount(faint)[0]) > float(mean.amount(few)[0]) == pytest.approx(0.1)
    assert float(rms.amount(faint)[0]) < float(rms.amount(few)[0]) == pytest.approx(0.1**0.5)
    for rules in (mean, rms):
        np.testing.assert_allclose(rules.amount(2 * few), 2 * rules.amount(few))


def test_without_epsilon_every_step_runs():
    out = run(silent_from(disjoint_sources(3), 1))
    assert np.all(out.active)
    assert np.all(np.isfinite(out.sounds))


def test_more_steps_than_candidates_are_refused():
    with pytest.raises(ValueError, match="steps=4 must be at most the number of candidates, 3"):
        run(disjoint_sources(3), steps=4)


def test_with_fewer_steps_the_quieter_sounds_remain():
    sources = disjoint_sources(3)
    out = run(sources, steps=2)
    quietest = energy_order(sources)[:, 2]
    np.testing.assert_allclose(out.remaining, sources[np.arange(2), quietest], atol=1e-6)


@pytest.mark.parametrize("other", [{"loop": Loop(unroll=True)}, {"skip_finished": True}])
@pytest.mark.parametrize("sounding", [1, 3])
def test_unrolling_and_skipping_do_not_change_results(other, sounding):
    sources = silent_from(disjoint_sources(3), sounding)
    soft = lambda remaining, s: (0.05 * oracle(sources)(remaining, s)[0], s)  # noqa: E731
    plus = lambda remix, sound, s: (0.1 * (remix - sound), s)  # noqa: E731
    rules = {"epsilon_relative": 0.05, "subtracted": "final"}
    one, another = (run(sources, minus=soft, plus=plus, rules=rules, **options) for options in ({}, other))
    assert one.active[-1].any() == (sounding == 3)
    one, another = (out._replace(statistics=()) for out in (one, another))  # skipped steps return no statistics
    for name in one._fields:
        np.testing.assert_allclose(getattr(one, name), getattr(another, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_each_step_uses_its_own_statistics():
    sources = disjoint_sources(3)

    def sound_fn(remaining, statistics):
        features, _ = oracle(sources)(remaining, None)
        return features, {"seen": statistics["set"], "level": jnp.mean(remaining)}

    def plus(remix, sound, statistics):
        return jnp.zeros_like(sound), statistics + jnp.mean(remix)

    out = run(sources, minus=sound_fn, plus=plus, statistics={"set": np.float32([10.0, 20.0, 30.0])})
    np.testing.assert_array_equal(out.statistics["minus"]["seen"], [10.0, 20.0, 30.0])
    np.testing.assert_allclose(out.statistics["minus"]["level"], out.before.mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(out.statistics["plus"], np.array([1, 2]) + out.remixes[1:].mean((1, 2, 3)), rtol=1e-5)


def test_gradient_reaches_the_features_of_every_step():
    sources = disjoint_sources(2)
    mixture, vectors = jnp.asarray(sources.sum(1)), jnp.asarray(vectors_of(sources))

    def left(bias):
        # The bias of each step is passed as its statistics.
        out = minus_plus(
            mixture,
            Candidates(vectors),
            Networks(lambda remaining, b: (jnp.broadcast_to(b, (*remaining.shape, 2)), b), None, {"minus": bias}),
            steps=2,
        )
        return jnp.mean(out.remaining)

    # remaining = S (1 - sigmoid(b0)) (1 - sigmoid(b1)); both derivatives at zero are -S / 8.
    np.testing.assert_allclose(
        jax.jit(jax.grad(left))(np.zeros(2, np.float32)), -float(mixture.mean()) / 8 * np.ones(2), rtol=1e-5
    )


def test_subtraction_never_goes_below_zero():
    mixture, sound, share = jnp.array([[[1.0, 2.0]]]), jnp.array([[[0.25, 3.0]]]), jnp.array([[[0.25, 1.0]]])
    for how in ("difference", "product"):
        np.testing.assert_array_equal(subtract(mixture, sound, share, how=how), [[[0.75, 0.0]]])


@pytest.mark.parametrize("mask_on", ["remaining", "original"])
def test_product_subtraction_uses_the_share_of_the_final_sound(mask_on):
    """With a Plus-Net, the share of the final sound is subtracted instead of the mask, and the floor is added."""
    separated = jax.jit(
        lambda mixture: minus_plus(
            mixture,
            Candidates(jnp.ones((1, 2, 1))),
            Networks(
                lambda remaining, s: (jnp.zeros((*remaining.shape, 1)), s),
                lambda given, s: (jnp.full_like(given.sound, -np.log(3.0)), s),
                {"minus": jnp.zeros(2), "plus": jnp.zeros(1)},
            ),
            steps=2,
            rules=Rules(mask_on=mask_on, subtraction="product", subtracted="final", floor=0.5),
        )
    )
    out = jax.device_get(separated(np.full((1, 1, 1), 2.0, np.float32)))
    # Step 1 subtracts half of 2; 1.5 remain with the floor. Step 2 restores a quarter of the first sound, 0.25.
    sound, reference = {"remaining": (1.0, 1.5), "original": (1.25, 2.0)}[mask_on]
    np.testing.assert_allclose(out.sounds[:, 0, 0, 0], [1.0, sound], rtol=1e-6)
    np.testing.assert_allclose(out.remaining[0, 0, 0], 1.5 * (1 - sound / reference) + 0.5, rtol=1e-6)


def test_energy_order_is_descending():
    sources = np.float32([1.0, 3.0, 2.0])[None, :, None, None] * np.ones((1, 3, 2, 2), np.float32)
    np.testing.assert_array_equal(energy_order(sources), [[1, 2, 0]])


def test_by_candidate_is_zero_for_candidates_not_chosen():
    values = jnp.arange(1.0, 5.0).reshape(2, 2, 1, 1)  # (step, batch): 1 2 | 3 4
    out = by_candidate(values, jnp.array([[2, 0], [0, 1]]), 3)
    np.testing.assert_array_equal(out[:, :, 0, 0], [[3.0, 0.0, 1.0], [2.0, 4.0, 0.0]])


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("with_plus", [False, True])
def test_the_unrolled_recursion_has_no_loop(steps, with_plus):
    """On a CPU, the gradient of a convolution is many times slower inside a loop, even for one step."""

    def run(mixture, unroll):
        plus = (lambda given, s: (given.sound, s)) if with_plus else None
        networks = Networks(
            lambda remaining, s: (jnp.ones((*remaining.shape, 1)), s),
            plus,
            {"minus": jnp.zeros(steps), "plus": jnp.zeros(steps - 1)},
        )
        return minus_plus(mixture, Candidates(jnp.ones((1, 3, 1))), networks, steps=steps, loop=Loop(unroll)).sounds

    def has_loop(unroll):
        return "stablehlo.while" in jax.jit(lambda m: run(m, unroll)).lower(jnp.ones((1, 2, 2))).as_text()

    assert not has_loop(True)
    assert has_loop(False) or (steps == 1 and with_plus)  # the only step runs before the loop
