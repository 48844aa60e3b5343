import dataclasses
from collections import Counter

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.mixing import ClipTable, MixingSpec, SourcePlan, draw_mixture, frame_indices, level_gain
from data_pipeline.records.index_file import Clip
from data_pipeline.spec import AudioSpec, FrameSpec

AUDIO = AudioSpec(rate_hz=1000, clip_samples=500, fft_samples=64, hop_samples=16)


def clip(video, label=0, chunk=0, samples=800, frames=8, rms=0.1):
    return Clip(video, label, chunk, 0.0, samples, frames, rms, 0, 0, 0)


# Four classes, three videos each, two records per video of different lengths.
CLIPS = [
    clip(f"{label}-{video}", label, chunk, samples=800 - 200 * chunk, rms=0.05 * (1 + video))
    for label in range(4)
    for video in range(3)
    for chunk in range(2)
]


def table(clips=CLIPS, sources=3, same_class=False):
    return ClipTable(clips, AUDIO, sources=sources, same_class=same_class)


def draws(count, *, clips=CLIPS, seed=0, **options):
    mixing = MixingSpec(**({"sources": 3} | options))
    ready = table(clips, mixing.sources, mixing.same_class)
    return [draw_mixture(ready, mixing, seed=seed, step=step, slot=0) for step in range(count)]


def test_videos_and_classes_are_distinct():
    for mixture in draws(200):
        videos = [CLIPS[plan.clip].video_id for plan in mixture]
        assert len(set(videos)) == len({CLIPS[plan.clip].label for plan in mixture}) == 3


def test_one_class_may_come_twice_where_allowed_but_never_one_video():
    mixtures = draws(200, same_class=True)
    assert all(len({CLIPS[plan.clip].video_id for plan in mixture}) == 3 for mixture in mixtures)
    assert any(len({CLIPS[plan.clip].label for plan in mixture}) < 3 for mixture in mixtures)


def test_every_video_comes_equally_often():
    counts = Counter(CLIPS[plan.clip].video_id for mixture in draws(800) for plan in mixture)
    assert len(counts) == 12
    # 2,400 draws of 12: 200 each, standard deviation under 14.
    assert min(counts.values()) > 145 and max(counts.values()) < 255


def test_a_mixture_is_a_function_of_seed_step_and_slot():
    ready, mixing = table(), MixingSpec(sources=3, silent_probability=0.3)

    def draw(seed=1, step=2, slot=3):
        return draw_mixture(ready, mixing, seed=seed, step=step, slot=slot)

    assert draw() == draw()
    assert draw() == draw_mixture(table(), mixing, seed=1, step=2, slot=3)
    others = [draw(seed=2), draw(step=3), draw(slot=2), draw(step=3, slot=2)]
    assert all(draw() != other for other in others)


def test_windows_lie_within_their_record_and_cover_it_evenly():
    plans = [plan for mixture in draws(1500) for plan in mixture]
    for plan in plans:
        assert 0 <= plan.start <= CLIPS[plan.clip].samples - AUDIO.clip_samples
    # A record of 800 samples has 301 windows, one of 600 has 101.
    long = [plan.start for plan in plans if CLIPS[plan.clip].chunk == 0]
    assert len(long) / len(plans) == pytest.approx(301 / 402, abs=0.03)
    assert np.mean(long) == pytest.approx(150, abs=8)
    assert np.histogram(long, bins=5, range=(0, 301))[0].min() > 0.85 * len(long) / 5
    assert min(long) < 5 and max(long) > 295


def test_a_window_may_be_the_whole_record():
    starts = {plan.start for plan in draws(1, clips=[clip("a", samples=500)], sources=1)[0]}
    assert starts == {0}


def test_short_records_are_left_out():
    clips = [clip("short", 0, samples=499), clip("a", 0), clip("b", 1)]
    assert table(clips, sources=2).videos == ["a", "b"]
    assert all(plan.clip != 0 for mixture in draws(50, clips=clips, sources=2) for plan in mixture)


def test_gains_lie_in_their_range_above_the_level_of_the_video():
    spec = {"gain_low": 0.5, "gain_high": 1.5, "level_dbfs": -20.0}
    gains = [plan.gain * CLIPS[plan.clip].video_rms / 0.1 for mixture in draws(500, **spec) for plan in mixture]
    assert 0.5 <= min(gains) < 0.51 and 1.49 < max(gains) <= 1.5
    assert np.mean(gains) == pytest.approx(1.0, abs=0.03)


def test_gains_in_decibels_make_triangular_level_differences():
    spec = {"gain_low": 0.1, "gain_high": 1.0, "gain_scale": "decibels", "level_dbfs": -20.0}
    mixtures = draws(1000, **spec)
    levels = np.array([[20 * np.log10(p.gain * CLIPS[p.clip].video_rms / 0.1) for p in m] for m in mixtures])
    assert -20.0 <= levels.min() < -19.5 and -0.5 < levels.max() <= 1e-9
    np.testing.assert_allclose(levels.mean(), -10.0, atol=0.5)
    differences = np.abs(levels[:, 0] - levels[:, 1])
    assert differences.mean() == pytest.approx(20 / 3, abs=0.4)  # of a triangular distribution on +-20
    linear = draws(1000, **spec | {"gain_scale": "linear"})
    assert np.mean([plan.gain for m in linear for plan in m]) > np.mean([plan.gain for m in mixtures for plan in m])


def test_level_gain_brings_a_whole_video_to_the_level():
    assert level_gain(clip("a", rms=0.05), -20.0) == pytest.approx(2.0)
    assert level_gain(clip("a", rms=0.2), -40.0) == pytest.approx(0.05)
    assert level_gain(clip("a", rms=0.0), -20.0) == 0.0


def test_only_sources_after_the_first_fall_silent():
    mixtures = draws(1000, silent_probability=0.25)
    silent = np.array([[plan.gain == 0 for plan in mixture] for mixture in mixtures])
    assert not silent[:, 0].any()
    np.testing.assert_allclose(silent[:, 1:].mean(0), 0.25, atol=0.05)
    # Silence changes only a gain.
    loud = draws(1000)
    for mixture, other in zip(mixtures[:50], loud, strict=False):
        assert [dataclasses.replace(p, gain=1) for p in mixture] == [dataclasses.replace(p, gain=1) for p in other]


def test_pictures_vary_only_where_asked():
    plans = [plan for mixture in draws(300) for plan in mixture]
    crops = np.array([plan.crop for plan in plans])
    assert crops.min() >= 0 and crops.max() < 1
    np.testing.assert_allclose(crops.mean(0), 0.5, atol=0.05)
    assert np.mean([plan.flip for plan in plans]) == pytest.approx(0.5, abs=0.06)
    plain = [plan for mixture in draws(50, augment=False) for plan in mixture]
    assert {(plan.crop, plan.flip) for plan in plain} == {((0.5, 0.5), False)}


@pytest.mark.parametrize(
    ("same_class", "message"),
    [
        (
            False,
            "5 sounds needs 5 classes with a clip of at least 0.50 s, the split has 4; .* or set config",
        ),
        (
            True,
            "13 sounds needs 13 videos with a clip of at least 0.50 s, the split has 12; add videos",
        ),
    ],
)
def test_too_few_are_refused(same_class, message):
    with pytest.raises(InputError, match=message):
        table(sources=13 if same_class else 5, same_class=same_class)


def test_pictures_are_those_in_the_middle_of_equal_parts():
    plan = SourcePlan(clip=0, start=1000, gain=1.0)
    audio = AudioSpec(rate_hz=1000, clip_samples=3000, fft_samples=64, hop_samples=16)
    long = clip("a", samples=10_000, frames=80)
    # Parts of one second from 1 s on: their middles are 1.5, 2.5 and 3.5 s, at eight pictures a second.
    three = frame_indices(plan, long, audio=audio, frames=FrameSpec(3, 8), fps=8.0)
    np.testing.assert_array_equal(three, [12, 20, 28])
    # 2.5 s at 7.5 a second is 18.75: the picture shown then is number 18.
    one = frame_indices(plan, long, audio=audio, frames=FrameSpec(1, 8), fps=7.5)
    np.testing.assert_array_equal(one, [18])


def test_pictures_at_a_stride_lie_round_the_middle():
    audio = AudioSpec(8000, 48_000, 512, 128)  # 6 s from second 1 on: the middle is second 4
    plan, long = SourcePlan(0, 8000, 1.0), clip("a", frames=80)
    three = frame_indices(plan, long, audio=audio, frames=FrameSpec(3, 8, stride_seconds=2.0), fps=8.0)
    np.testing.assert_array_equal(three, [16, 32, 48])
    # Outside of the clip the first and the last frame are used.
    wide = frame_indices(plan, long, audio=audio, frames=FrameSpec(3, 8, stride_seconds=9.0), fps=8.0)
    np.testing.assert_array_equal(wide, [0, 32, 79])


def test_pictures_that_ended_early_repeat_the_last():
    plan = SourcePlan(clip=0, start=0, gain=1.0)
    indices = frame_indices(plan, clip("a", frames=2), audio=AUDIO, frames=FrameSpec(4, 8), fps=8.0)
    np.testing.assert_array_equal(indices, [0, 1, 1, 1])
