import json

import numpy as np
import pytest

from mpnet_jax.separation.curves import Curves, Moments
from mpnet_jax.separation.results import Tally, write_results


def window(place: int, **energies: float):
    sounds = [
        {"number": int(name[1:]), "place": [0.5, 0.1 * int(name[1:])], "energy": energy}
        for name, energy in energies.items()
    ]
    return {"start_s": float(place), "end_s": place + 2.0, "sounds": sounds}


def test_a_tally_sums_up_each_sound():
    tally = Tally()
    for place in range(4):
        tally.add(window(place, s1=0.5, **({"s3": 0.1} if place in (1, 2) else {})))
    assert tally.windows == 4 and tally.numbers == {1, 3}
    assert tally.of(1) == {"windows": 4, "first_s": 0.0, "last_s": 5.0, "place": [0.5, 0.1]}
    assert (tally.longest(1), tally.longest(3)) == (4, 2)
    tally.add(window(4, s3=0.1))
    tally.add(window(5, s3=0.1))
    tally.add(window(6, s3=0.1))
    assert (tally.longest(1), tally.longest(3)) == (4, 3)


def test_a_tally_has_times_and_place_of_a_sound():
    tally = Tally()
    for place in range(4):
        tally.add(window(place, **({"s3": 0.1} if place in (1, 2) else {})))
    assert tally.of(3) == {"windows": 2, "first_s": 1.0, "last_s": 4.0, "place": [0.5, 0.3]}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_of_any_length_are_json(tmp_path, count):
    windows = [window(place, s1=0.5) for place in range(count)]
    write_results(tmp_path / "a.json", {"video": {"file": 'a "b"\n{}'}, "remarks": []}, iter(windows))
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "video": {"file": 'a "b"\n{}'}, "remarks": [], "windows": windows
    }  # fmt: skip


def test_curves_of_any_length_have_few_points():
    curves = Curves()
    for place in range(10_000):
        curves.add(window(place, s1=0.5, **({"s2": 0.25} if place >= 5000 else {})))
    points = np.array(curves.of(2))
    assert 300 <= len(points) <= 600
    np.testing.assert_array_equal(points[:, 1], np.where(points[:, 0] >= 5001, 0.25, 0.0))
    assert np.all(np.diff(points[:, 0]) > 0)
    assert all(share == 0 for _, share in curves.of(7))


def test_moments_are_where_a_sound_and_where_all_sounds_are_heard():
    moments = Moments()
    for place, energies in enumerate(({"s1": 0.5}, {"s1": 0.9}, {"s1": 0.4, "s2": 0.3}, {"s1": 0.8, "s2": 0.1}, {})):
        moments.add(window(place, **energies))
    assert moments.seconds == {1: 2.0, 2: 3.0, 0: 3.0}
