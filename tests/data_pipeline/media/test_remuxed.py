"""The same scene in nine containers, with the same damage: verdict, length and alignment must be the same."""

import numpy as np
import pytest

from data_pipeline.media import reader
from data_pipeline.sources import Video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.staged_video import stage_video
from tests.support import damaged_media as scene

TRUTH_S = [second + scene.FIRST_BURST_S for second in range(scene.SECONDS)]
# Damage -> (times of bursts, end of the sound, kinds of remarks).
DAMAGE = {
    "starts_at_60_s": (TRUTH_S, 6.0, set()),
    "wrong_sound_timestamp": (TRUTH_S, 6.0, {"wrong timestamps"}),
    "wrong_picture_timestamp": (TRUTH_S, 6.0, {"wrong timestamps"}),
    "missing_sound": (TRUTH_S, 6.0, {"gaps"}),
    "late_sound": ([time + 0.7 for time in TRUTH_S], 6.7, {"late start"}),
    "short_sound": (TRUTH_S[:4], 4.3, {"uneven ends"}),
}
# AVI has no timestamps: a gap closes, a late sound starts at once.
LOST_BY_WRITING = {("avi", "missing_sound"), ("avi", "late_sound")}
# Writers of these containers do not keep a wrong timestamp, or state the length that follows from it.
TOLERATED = {"wrong timestamps", "stated length", "stated start"}
OF_THE_SCENE = {"partly muted", "narrow band", "partly frozen", "quiet", "few pictures"}
BLOCK_SECONDS = 0.07  # Codecs fill up their last block; the longest one here lasts 46 ms.
FAST = {
    ("mkv", "wrong_sound_timestamp"),
    ("webm", "starts_at_60_s"),
    ("ts", "missing_sound"),
    ("avi", "starts_at_60_s"),
}
FAST |= {("mp4", "wrong_picture_timestamp"), ("flv", "late_sound"), ("mpg", "short_sound"), ("wmv", "missing_sound")}
ALL = [(suffix, damage) for suffix in scene.CONTAINERS for damage in DAMAGE if (suffix, damage) not in LOST_BY_WRITING]


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [pytest.param(*case, marks=() if case in FAST else pytest.mark.slow, id="-".join(case)) for case in ALL],
)
def test_damage_has_the_same_effect_in_every_container(tmp_path, suffix, damage):
    path = scene.write_scene(tmp_path / f"a.{suffix}", getattr(scene, damage))
    times_s, end_s, kinds = DAMAGE[damage]

    trace = reader.Trace()
    sound = np.concatenate([block for _, block in reader.stream_channels(path, trace)], axis=1)[0]
    found_s = scene.burst_times_s(sound, trace.rate_hz)
    assert end_s - 0.03 <= len(sound) / trace.rate_hz <= end_s + BLOCK_SECONDS
    # Some containers round timestamps to milliseconds.
    assert found_s == pytest.approx(times_s, abs=0.0011)

    asked = np.arange(0, scene.SECONDS, 0.01)
    light = np.array([picture.mean() > 120 for picture in reader.read_frames(path, asked, 48, whole=False)])
    flashes_s = asked[np.flatnonzero(np.diff(light.astype(int), prepend=0) == 1)]
    assert flashes_s == pytest.approx(np.array(TRUTH_S), abs=1.01 / scene.FPS)

    facts = stage_video(Video("a", path, "x"), CutSpec(silence_dbfs=-90, frame_px=24), tmp_path)
    assert facts.reason is None, facts.message
    assert facts.seconds == pytest.approx(len(sound) / trace.rate_hz, abs=0.001)
    assert set(facts.remarks) - OF_THE_SCENE - TOLERATED == kinds - TOLERATED


def test_the_undamaged_scene_gives_no_remark(tmp_path):
    for suffix in ("mp4", "ts"):
        path = scene.write_scene(tmp_path / f"a.{suffix}")
        facts = stage_video(Video("a", path, "x"), CutSpec(silence_dbfs=-90, frame_px=24), tmp_path)
        assert set(facts.remarks) <= OF_THE_SCENE
        assert reader.probe(path).duration_s == pytest.approx(6.0, abs=BLOCK_SECONDS)
