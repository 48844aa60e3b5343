import numpy as np

from mpnet_jax.separation.network import WindowSounds
from mpnet_jax.separation.tracking import NEW_BELOW, Tracker, similarity

FREQ, COLUMNS = 12, 8
LEFT, MIDDLE, RIGHT = (0.5, 0.2), (0.5, 0.5), (0.5, 0.8)
LOW, HIGH = slice(0, 4), slice(6, 12)
RNG = np.random.default_rng(0)
VECTORS = {LEFT: np.array([1.0, 0.0, 0.2]), MIDDLE: np.array([0.5, 0.5, 0.5]), RIGHT: np.array([0.0, 1.0, 0.2])}


def window(*sounds):
    """Returns a window whose sounds are (place, band) in the order of the steps; None is a step without a sound."""
    share = np.zeros((len(sounds), FREQ, COLUMNS))
    place, vector = np.zeros((len(sounds), 2)), np.zeros((len(sounds), 3))
    for step, sound in enumerate(sounds):
        if sound is not None:
            place[step], vector[step] = sound[0], VECTORS[sound[0]]
            share[step, sound[1]] = 1.0
    active = np.array([sound is not None for sound in sounds], bool)
    magnitude = RNG.uniform(0.5, 1.0, (FREQ, COLUMNS))
    return WindowSounds(active, place, vector, np.ones((len(sounds), 2, 2)), share, magnitude)


A, B = (LEFT, LOW), (RIGHT, HIGH)


def test_sounds_that_swap_their_order_keep_their_numbers():
    tracker = Tracker(2)
    assert tracker.number(window(A, B)) == {1: 0, 2: 1}
    assert tracker.number(window(B, A)) == {1: 1, 2: 0}
    assert tracker.number(window(A, B)) == {1: 0, 2: 1}


def test_a_sound_that_pauses_keeps_its_number():
    tracker = Tracker(4)
    tracker.number(window(A, B))
    for _ in range(20):
        assert tracker.number(window(B, None)) == {2: 0}
    assert tracker.number(window(None, None)) == {}
    assert tracker.number(window(A, B)) == {1: 0, 2: 1}


def test_an_unknown_sound_gets_a_new_number_if_one_is_free():
    tracker = Tracker(2)
    assert tracker.number(window(A)) == {1: 0}
    assert tracker.number(window(B)) == {2: 0}
    third = (MIDDLE, slice(4, 6))
    assert set(tracker.number(window(A, B, third))) == {1, 2}  # The third sound has no number.


def test_the_place_decides_where_spectra_are_alike():
    tracker = Tracker(2)
    tracker.number(window((LEFT, LOW), (RIGHT, HIGH)))
    # Both players change their register at the same time, so only their places distinguish them.
    assert tracker.number(window((RIGHT, LOW), None)) in ({2: 0}, {1: 0})
    tracker = Tracker(2)
    tracker.number(window((LEFT, LOW), (RIGHT, HIGH)))
    tracker.number(window(None, None))
    assert tracker.number(window((RIGHT, LOW), (LEFT, HIGH))) == {2: 0, 1: 1}


def test_the_spectrum_decides_where_a_player_moves():
    tracker = Tracker(2)
    tracker.number(window((LEFT, LOW), (MIDDLE, HIGH)))
    assert tracker.number(window((MIDDLE, LOW), (RIGHT, HIGH))) == {1: 0, 2: 1}


def test_a_sound_that_moves_slowly_is_followed():
    tracker = Tracker(4)
    for right in np.linspace(0.1, 0.9, 40):
        heard = window((LEFT, LOW))
        heard.place[0] = (0.5, right)
        assert tracker.number(heard) == {1: 0}


def test_similarity_lies_between_zero_and_one():
    tracker = Tracker(2)
    tracker.number(window(A, B))
    again = Tracker(2)
    again.number(window(A, B))
    for number, known in tracker.known.items():
        for other, seen in again.known.items():
            value = similarity(known, seen)
            assert 0.0 <= value <= 1.0
            assert (value > NEW_BELOW) == (number == other)
