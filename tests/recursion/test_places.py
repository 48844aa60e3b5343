import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.recursion.candidates import mean_power
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.places import blank_places, energy_map, neighbours, places, row_and_column
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks

HEIGHT, WIDTH, FREQ, TIME = 7, 9, 6, 5
LARGE = 100.0  # sigmoid(100) is 1 in float32


def two_players():
    """Returns the vectors of a frame with two players, at and around (1, 2) and (5, 7), and their sounds.

    The vectors select the player's feature map; all others are zero. The first player is the louder one.
    """
    vectors = np.zeros((1, HEIGHT, WIDTH, 2), np.float32)
    for player, (row, column) in enumerate([(1, 2), (5, 7)]):
        vectors[0, row - 1 : row + 2, column - 1 : column + 2, player] = 1.0
    sources = np.zeros((1, 2, FREQ, TIME), np.float32)
    sources[0, 0, :3], sources[0, 1, 3:] = 3.0, 1.0
    return jnp.asarray(vectors), jnp.asarray(sources)


def features_of(sources):
    """Returns the feature maps of a perfect Minus-Net; a vector of zeros gives logits of 0."""
    return jnp.moveaxis(jnp.where(sources > 0, LARGE, -LARGE), 1, -1)


def test_energy_map_holds_the_energy_at_each_place():
    vectors, sources = two_players()
    mixture = sources.sum(1)
    energy = energy_map(features_of(sources), vectors, mixture)
    logits = np.einsum("bftk,bhwk->bhwft", features_of(sources), vectors)
    expected = np.mean(np.asarray(jax.nn.sigmoid(logits)) * np.asarray(mixture)[:, None, None], (3, 4))
    assert energy.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_allclose(energy, expected, rtol=1e-5)
    squared = energy_map(features_of(sources), vectors, mixture, mean_power)
    assert float(squared[0, 1, 2]) == pytest.approx(9 / 2)


@pytest.mark.parametrize("chunk_bytes", [None, 3 * FREQ * TIME * 4])
def test_each_step_finds_another_player(chunk_bytes):
    vectors, sources = two_players()
    out = minus_plus(
        sources.sum(1),
        places(vectors, 0.1, chunk_bytes),
        Networks(lambda remaining, s: (features_of(sources), s), None, {"minus": jnp.zeros(2)}),
        steps=2,
    )
    np.testing.assert_allclose(out.sounds.swapaxes(0, 1), sources, atol=1e-5)
    row, column = np.asarray(row_and_column(out.chosen, WIDTH))[:, 0].T
    # All places of a player have the same energy, so any of them may be chosen.
    assert np.all(np.abs(row - [1, 5]) <= 1)
    assert np.all(np.abs(column - [2, 7]) <= 1)


def test_the_neighbourhood_of_a_chosen_place_is_closed():
    # The soft masks leave energy at every place, so only the neighbourhood separates the chosen places.
    vectors = jax.random.uniform(jax.random.key(0), (1, HEIGHT, WIDTH, 2))
    features = jax.random.normal(jax.random.key(1), (1, FREQ, TIME, 2))
    out = minus_plus(
        jnp.ones((1, FREQ, TIME)),
        places(vectors, 0.2),
        Networks(lambda remaining, s: (features, s), None, {"minus": jnp.zeros(20)}),
        steps=20,
        rules=Rules(),
    )
    taken = np.asarray(row_and_column(out.chosen, WIDTH))[np.asarray(out.active)]
    assert 2 <= len(taken) < 20  # all places are closed before the last step
    apart = np.abs(taken[:, None] - taken).max(-1)
    assert np.min(apart[~np.eye(len(taken), dtype=bool)]) == 3  # 0.2 of 9 columns are two places


@pytest.mark.parametrize(("side", "radius"), [(6, 1), (14, 2), (28, 4)])
def test_the_neighbourhood_is_relative_to_the_size_of_the_map(side, radius):
    near = neighbours(side, side, 0.15)
    middle = near[(side // 2) * side + side // 2].reshape(side, side)
    start, end = side // 2 - radius, side // 2 + radius + 1
    expected = np.zeros((side, side), bool)
    expected[start:end, start:end] = True
    np.testing.assert_array_equal(middle, expected)
    np.testing.assert_array_equal(near, near.T)
    assert near[0].sum() == (radius + 1) ** 2  # cut off at a corner


def test_a_neighbourhood_of_zero_is_a_single_place():
    np.testing.assert_array_equal(neighbours(3, 4, 0.0), np.eye(12, dtype=bool))


def test_row_and_column():
    places_taken = jnp.array([[0, 8], [9, -1]])
    np.testing.assert_array_equal(row_and_column(places_taken, 9), [[[0, 0], [0, 8]], [[1, 0], [-1, -1]]])


def three_players():
    """Returns the vectors of a frame with three equally loud players in three columns, and their sounds and a noise."""
    vectors = np.zeros((1, HEIGHT, WIDTH, 3), np.float32)
    for player, column in enumerate([1, 4, 7]):
        vectors[0, 2:5, column, player] = 1.0
    sources = np.zeros((1, 4, 8, TIME), np.float32)
    for number in range(4):
        sources[0, number, 2 * number : 2 * number + 2] = 1.0
    return jnp.asarray(vectors), jnp.asarray(sources)


@pytest.mark.parametrize("epsilon_relative", [0.0, 0.01])
def test_blank_places_come_last_and_end_the_counting(epsilon_relative):
    vectors, sources = three_players()
    networks = Networks(lambda remaining, s: (features_of(sources[:, :3]), s), None, {"minus": jnp.zeros(4)})
    found = {
        blank_last: minus_plus(
            sources.sum(1),
            places(vectors, 0.2, blank_last=blank_last),
            networks,
            steps=4,
            rules=Rules(epsilon_relative=epsilon_relative),
        )
        for blank_last in (False, True)
    }
    columns = {key: np.asarray(row_and_column(out.chosen, WIDTH))[:, 0, 1] for key, out in found.items()}
    # The wall takes one half of four sounds, more than any player.
    assert columns[False][0] in (0, 2, 3, 5, 6, 8)
    assert sorted(columns[True][:3]) == [1, 4, 7]
    np.testing.assert_allclose(np.asarray(found[True].sounds)[:3, 0].sum(0), sources[0, :3].sum(0), atol=1e-5)
    # The noise remains. Where the number of sounds is given, a fourth one comes from the wall.
    assert np.asarray(found[True].active)[:, 0].tolist() == [True, True, True, epsilon_relative == 0.0]


def test_no_place_is_blank_where_all_would_be():
    vectors = jnp.array([[[0.1, 0.5], [0.6, 0.0], [0.0, 0.0]], [[0.1, 0.5], [0.4, 0.0], [0.0, 0.0]]])
    assert blank_places(vectors).tolist() == [[True, False, True], [False, False, False]]
