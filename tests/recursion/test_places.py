import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.recursion.candidates import mean_power
from mpnet_jax.recursion.minus_plus import Networks, Rules, minus_plus
from mpnet_jax.recursion.places import energy_map, neighbours, places, row_and_column

HEIGHT, WIDTH, FREQ, TIME = 7, 9, 6, 5
LARGE = 100.0  # sigmoid(100) is 1 in float32


def two_players():
    """A picture with two players: places at and around (1, 2) show the louder one, at and around (5, 7) the other.

    Each place's vector points at its player's map; elsewhere at nothing.
    """
    vectors = np.zeros((1, HEIGHT, WIDTH, 2), np.float32)
    for player, (row, column) in enumerate([(1, 2), (5, 7)]):
        vectors[0, row - 1 : row + 2, column - 1 : column + 2, player] = 1.0
    sources = np.zeros((1, 2, FREQ, TIME), np.float32)
    sources[0, 0, :3], sources[0, 1, 3:] = 3.0, 1.0
    return jnp.asarray(vectors), jnp.asarray(sources)


def features_of(sources):
    """Maps of an M-Net that knows the truth; what a vector of zeros picks has the logit 0."""
    return jnp.moveaxis(jnp.where(sources > 0, LARGE, -LARGE), 1, -1)


def test_a_map_shows_the_energy_at_each_place():
    vectors, sources = two_players()
    mixture = sources.sum(1)
    found = energy_map(features_of(sources), vectors, mixture)
    logits = np.einsum("bftk,bhwk->bhwft", features_of(sources), vectors)
    expected = np.mean(np.asarray(jax.nn.sigmoid(logits)) * np.asarray(mixture)[:, None, None], (3, 4))
    assert found.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
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
    # Of equal energies the first place counts: anywhere in the player's box.
    assert np.all(np.abs(row - [1, 5]) <= 1)
    assert np.all(np.abs(column - [2, 7]) <= 1)


def test_a_taken_place_s_neighbourhood_is_not_taken_again():
    # Masks of one half leave every place with energy, so that only the rule keeps the steps apart.
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
    assert 2 <= len(taken) < 20  # the picture is used up before the steps are
    apart = np.abs(taken[:, None] - taken).max(-1)
    assert np.min(apart[~np.eye(len(taken), dtype=bool)]) == 3  # 0.2 of 9 columns closes two places off


@pytest.mark.parametrize(("side", "radius"), [(6, 1), (14, 2), (28, 4)])
def test_a_neighbourhood_is_a_share_of_the_picture(side, radius):
    near = neighbours(side, side, 0.15)
    middle = near[(side // 2) * side + side // 2].reshape(side, side)
    start, end = side // 2 - radius, side // 2 + radius + 1
    expected = np.zeros((side, side), bool)
    expected[start:end, start:end] = True
    np.testing.assert_array_equal(middle, expected)
    np.testing.assert_array_equal(near, near.T)
    assert near[0].sum() == (radius + 1) ** 2  # a corner's is cut off


def test_a_neighbourhood_of_zero_is_the_place_alone():
    np.testing.assert_array_equal(neighbours(3, 4, 0.0), np.eye(12, dtype=bool))


def test_row_and_column():
    places_taken = jnp.array([[0, 8], [9, -1]])
    np.testing.assert_array_equal(row_and_column(places_taken, 9), [[[0, 0], [0, 8]], [[1, 0], [-1, -1]]])
