"""Properties of the timeline: streams with known times, some of which are replaced by wrong ones."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.media.timeline import Block, Doubts, Extent, place_blocks, place_pictures, timeline

BLOCK_SECONDS = st.sampled_from([0.0213, 0.0232, 0.104])
OUTLIERS = st.dictionaries(
    st.integers(0, 59), st.sampled_from([-3600.0, -20.0, -0.7, -0.3, 0.3, 0.7, 20.0, 600.0]), max_size=4
)


def far_apart(outliers: dict[int, float]) -> dict[int, float]:
    """Leaves out outliers that are less than nine places after another one."""
    kept: dict[int, float] = {}
    for place in sorted(outliers):
        if not kept or place - max(kept) > 8:
            kept[place] = outliers[place]
    return kept


def placed_blocks(times, seconds, *, start_s=0.0, confirmed_s=0.0):
    doubts = Doubts()
    blocks = ((Block(time, seconds), number) for number, time in enumerate(times))
    placed = list(place_blocks(blocks, start_s=start_s, confirmed_s=confirmed_s, doubts=doubts))
    assert [number for _, number in placed] == list(range(len(times)))
    return np.array([time for time, _ in placed]), doubts


@settings(deadline=None, max_examples=60)
@given(seconds=BLOCK_SECONDS, start=st.sampled_from([0.0, 0.3, 5.0]), outliers=OUTLIERS)
def test_lone_timestamps_of_the_sound_move_nothing(seconds, start, outliers):
    outliers = far_apart(outliers)
    truth = start + np.arange(60) * seconds
    times = [time + outliers.get(number, 0.0) for number, time in enumerate(truth)]
    found, doubts = placed_blocks(times, seconds, start_s=start)
    np.testing.assert_allclose(found, truth, atol=1e-9)
    assert doubts.timestamps == len(outliers)
    assert doubts.furthest_s == pytest.approx(max(map(abs, outliers.values()), default=0.0), abs=0.01)


@settings(deadline=None, max_examples=60)
@given(
    seconds=BLOCK_SECONDS,
    outliers=OUTLIERS,
    place=st.integers(10, 40),
    step=st.sampled_from([-2.0, -0.2, 0.02, 0.06, 0.5, 7.0]),
)
def test_gaps_and_overlaps_are_kept_beside_lone_timestamps(seconds, outliers, place, step):
    outliers = {n: by for n, by in far_apart(outliers).items() if abs(n - place) > 8}
    truth = np.arange(60) * seconds + np.where(np.arange(60) >= place, step, 0.0)
    times = [time + outliers.get(number, 0.0) for number, time in enumerate(truth)]
    found, doubts = placed_blocks(times, seconds)
    np.testing.assert_allclose(found, truth, atol=1e-9)
    assert doubts.timestamps == len(outliers)


@settings(deadline=None, max_examples=60)
@given(seconds=BLOCK_SECONDS, jitter=st.lists(st.floats(-0.007, 0.007), min_size=60, max_size=60))
def test_rounded_timestamps_leave_no_gaps(seconds, jitter):
    found, doubts = placed_blocks(np.arange(60) * seconds + jitter, seconds)
    np.testing.assert_allclose(np.diff(found), seconds, atol=1e-9)
    assert doubts.timestamps == 0


def test_a_clock_that_runs_slowly_is_followed():
    truth = np.arange(5000) * 0.0232
    found, doubts = placed_blocks(truth * 1.001, 0.0232)
    assert np.abs(found - truth * 1.001).max() < 0.06 and doubts.timestamps == 0


def test_sound_without_timestamps_follows_itself():
    found, doubts = placed_blocks([0.0, None, None, None, 0.4, None], 0.1)
    np.testing.assert_allclose(found, np.arange(6) * 0.1, atol=1e-9)
    assert doubts.timestamps == 0


def test_the_last_block_is_believed_where_the_pictures_reach_it():
    assert placed_blocks([0.0, 50.0], 0.1, confirmed_s=51.0)[0].tolist() == [0.0, 50.0]
    assert placed_blocks([0.0, 50.0], 0.1, confirmed_s=2.0)[0].tolist() == [0.0, 0.1]


def placed_pictures(times, *, start_s=0.0, confirmed_s=0.0, usual_s=0.1):
    doubts = Doubts()
    placed = place_pictures(
        ((time, number) for number, time in enumerate(times)),
        start_s=start_s,
        confirmed_s=confirmed_s,
        usual_s=usual_s,
        doubts=doubts,
    )
    times_s, numbers = zip(*placed, strict=True)
    assert list(numbers) == list(range(len(times)))
    return np.array(times_s), doubts


@settings(deadline=None, max_examples=60)
@given(fps=st.sampled_from([8.0, 10.0, 25.0, 60.0]), start=st.sampled_from([0.0, 5.0]), outliers=OUTLIERS)
def test_lone_timestamps_of_pictures_move_nothing(fps, start, outliers):
    outliers = {n: by for n, by in far_apart(outliers).items() if abs(by) > 2 / fps}
    if abs(outliers.get(59, 0.0)) <= 1.0:  # Nothing contradicts a last picture that is shown a little late.
        outliers.pop(59, None)
    truth = start + np.arange(60) / fps
    times = [time + outliers.get(number, 0.0) for number, time in enumerate(truth)]
    # A wrong stated rate matters only until three intervals are known.
    found, doubts = placed_pictures(times, start_s=start, usual_s=1 / fps)
    np.testing.assert_allclose(found, truth, atol=1e-6)
    assert doubts.timestamps == len(outliers)


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.sampled_from([0.016, 0.04, 0.1, 0.4, 0.9]), min_size=12, max_size=40), late=st.floats(1.5, 90))
def test_unsteady_pictures_and_pauses_keep_their_times(steps, late):
    steps[len(steps) // 2] = late  # nobody moves in front of a screen that is recorded
    truth = np.cumsum(steps)
    found, doubts = placed_pictures(truth, start_s=truth[0])
    assert found.tolist() == truth.tolist() and doubts.timestamps == 0


def test_slides_keep_their_times():
    truth = [0.0, 30.0, 60.0, 95.0, 120.0, 160.0]
    assert placed_pictures(truth, confirmed_s=170.0)[0].tolist() == truth


def test_pictures_that_start_again_are_not_moved():
    truth = [*np.arange(20) / 10, *np.arange(20) / 10]
    found, doubts = placed_pictures(truth)
    assert found.tolist() == truth and doubts.timestamps == 0


def test_pictures_without_timestamps_follow_each_other():
    found, _ = placed_pictures([None] * 5, start_s=0.2)
    np.testing.assert_allclose(found, 0.2 + np.arange(5) / 10, atol=1e-9)


def extent(times, seconds=0.0):
    found = Extent()
    for time in times:
        found.add(time, seconds)
    found.finish()
    return found


@settings(deadline=None, max_examples=60)
@given(
    start=st.sampled_from([-2.0, 0.0, 60.0, 95_000.0]),
    step=st.sampled_from([0.0167, 0.1, 5.0]),
    outliers=OUTLIERS,
    reorder=st.booleans(),
)
def test_extents_ignore_lone_timestamps(start, step, outliers, reorder):
    outliers = {n: by for n, by in far_apart(outliers).items() if abs(by) > max(8 * step, 1.0) and n < 59}
    order = np.arange(60)
    if reorder:  # pictures in the order of decoding: each third one refers to a later one
        order = order.reshape(-1, 3)[:, [0, 2, 1]].ravel()
    truth = start + order * step
    found = extent([time + outliers.get(number, 0.0) for number, time in enumerate(truth)])
    first, last = found.span([])
    # The outlier itself may be the first or the last one.
    assert abs(first - start) <= 2 * step + 1e-6 and abs(last - (start + 59 * step)) <= 2 * step + 1e-6
    assert found.packets == 60


def test_two_packets_are_believed_where_another_stream_is():
    assert extent([0.0, 50.0]).span([(0.0, 51.0)]) == (0.0, 50.0)
    assert extent([0.0, 50.0]).span([(0.0, 2.0)]) == (0.0, 0.0)
    assert extent([0.0, 50.0]).span([]) == (0.0, 50.0)
    assert extent([]).span([(0.0, 2.0)]) is None


def test_a_doubted_first_packet_has_its_place_before_the_others():
    assert extent([300.0, *np.arange(1, 40) / 25]).span([(0.0, 2.0)])[0] == pytest.approx(0.0, abs=0.002)


def test_durations_of_packets_are_doubted():
    found = Extent()
    for time, seconds in zip(itertools.count(0, 0.1), [0.1] * 19 + [20_000.0], strict=False):
        found.add(time, seconds)
    found.finish()
    assert found.span([])[1] <= 3.0 and found.raw_end_s > 20_000 and not math.isinf(found.raw_end_s)


def test_time_0_is_the_first_picture_after_an_encoders_delay():
    assert timeline((59.977, 68.0), (60.0, 68.0)).origin_s == 60.0
    assert timeline((59.0, 68.0), (60.0, 68.0)).origin_s == 59.0
    assert timeline((60.2, 68.0), (60.0, 68.0)).origin_s == 60.0
    assert timeline(None, (60.0, 68.0)).pictures_s == (0.0, 8.0)
    assert timeline((5.0, 6.0), None).end_s == 1.0


def test_sound_and_pictures_that_never_meet_start_together():
    found = timeline((0.0, 8.0), (60.0, 68.0))
    assert found.sound_s == found.pictures_s == (0.0, 8.0)
    assert timeline((0.0, 8.0), (7.0, 68.0)).pictures_s == (7.0, 68.0)
