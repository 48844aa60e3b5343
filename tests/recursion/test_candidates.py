import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.recursion.candidates import Candidates, candidate_energies, closes, mean_magnitude, mean_power

BATCH, FREQ, TIME, K, COUNT = 2, 8, 6, 3, 5
MASK_BYTES = FREQ * TIME * 4


def random_inputs(count=COUNT):
    keys = jax.random.split(jax.random.key(0), 3)
    features = jax.random.normal(keys[0], (BATCH, FREQ, TIME, K))
    return features, jax.random.normal(keys[1], (BATCH, count, K)), jax.random.uniform(keys[2], (BATCH, FREQ, TIME))


def energies(features, vectors, remaining, chunk_bytes=None, energy=mean_magnitude):
    return candidate_energies(features, Candidates(vectors, None, chunk_bytes), remaining, energy)


def test_energy_is_the_mean_of_the_masked_mixture():
    features, vectors, remaining = (np.asarray(x, np.float64) for x in random_inputs())
    masks = 1 / (1 + np.exp(-np.einsum("bftk,bck->bcft", features, vectors)))
    sounds = masks * remaining[:, None]
    np.testing.assert_allclose(energies(*random_inputs()), sounds.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(energies(*random_inputs(), energy=mean_power), (sounds**2).mean((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("chunk_bytes", [1, MASK_BYTES, 2 * MASK_BYTES + 1, 4 * MASK_BYTES, 100 * MASK_BYTES])
def test_chunks_do_not_change_the_energies(chunk_bytes):
    at_once = energies(*random_inputs())
    np.testing.assert_allclose(energies(*random_inputs(), chunk_bytes), at_once, rtol=1e-6)


def largest_bytes(jaxpr):
    """Returns the size in bytes of the largest array of a computation, including its loops."""
    inner = [p.jaxpr for e in jaxpr.eqns for p in e.params.values() if isinstance(p, jax.extend.core.ClosedJaxpr)]
    here = [v.aval.size * v.aval.dtype.itemsize for e in jaxpr.eqns for v in e.outvars]
    return max([*here, *(largest_bytes(j) for j in inner)])


@pytest.mark.parametrize("count", [7, 50, 400])
def test_chunks_bound_the_size_of_every_array(count):
    chunk = 4
    traced = jax.make_jaxpr(lambda *inputs: energies(*inputs, chunk * MASK_BYTES))(*random_inputs(count))
    # The masks of one chunk are the largest array; only the small vectors grow with the number of candidates.
    assert largest_bytes(traced.jaxpr) <= max(BATCH * chunk * MASK_BYTES, BATCH * (count + chunk) * K * 4)
    at_once = jax.make_jaxpr(energies)(*random_inputs(count))
    assert largest_bytes(at_once.jaxpr) >= BATCH * count * MASK_BYTES


def test_a_candidate_closes_itself_or_the_given_candidates():
    vectors, chosen = jnp.zeros((2, 3, 1)), jnp.array([2, 0])
    np.testing.assert_array_equal(closes(Candidates(vectors), chosen), [[False, False, True], [True, False, False]])
    rows = jnp.array([[True, True, False], [True, True, True], [False, True, True]])
    np.testing.assert_array_equal(closes(Candidates(vectors, rows), chosen), [rows[2], rows[0]])
