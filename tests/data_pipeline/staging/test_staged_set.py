import dataclasses
from pathlib import Path

import pytest

from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, Skipped, Video, folder
from data_pipeline.staging import staged_set, staged_video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division

CUT = CutSpec(fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
PARAMETERS = {"rate_hz": 8000}


def test_videos_are_dealt_and_their_chunks_keyed(tmp_path, write_video):
    for name in ("cello/a", "violin/b", "violin/c", "violin/d"):
        write_video(tmp_path / "videos" / f"{name}.mp4", seconds=3, tone_hz=100 + 10 * ord(name[-1]))
    (tmp_path / "videos" / "violin" / "bad.mp4").write_bytes(b"nothing")
    found = folder.find_videos(Place(tmp_path / "videos"))
    listing = dataclasses.replace(found, skipped={"x": Skipped("missing")})
    facts = [staged_video.stage_video(video, CUT, tmp_path) for video in listing.videos]
    staged = staged_set.deal(facts, listing, tmp_path, division=Division(), root=tmp_path / "videos")
    assert staged.classes == ["cello", "violin"]
    assert staged.skipped_counts == {"not a video": 1, "missing": 1}
    assert staged.split_names == ("train", "validation", "test")
    assert {name: len(staged.facts_of(name)) for name in staged.split_names} == {"train": 2, "validation": 1, "test": 1}
    keys = [key for name in staged.split_names for key, _ in staged.examples(name)]
    assert sorted(keys) == [f"{fact.video_id}#{chunk:06d}" for fact in staged.kept for chunk in (0, 1)]
    assert all(key.startswith(f"{example['video_id']}#") for key, example in staged.examples("train"))


def test_a_split_without_videos_is_not_named(tmp_path):
    facts = [staged_video.Facts("a", "cello", {}), staged_video.Facts("b", "cello", {})]
    listing = Listing(tuple(Video(name, tmp_path / name, "cello") for name in "ab"), {})
    staged = staged_set.deal(facts, listing, tmp_path, division=Division(), root=tmp_path)
    assert staged.split_names == ("train",)


def test_none_that_can_be_used(tmp_path):
    facts = [staged_video.Facts("a", "cello", {}, reason="muted", message="a.mp4 is muted")]
    listing = Listing((Video("a", tmp_path / "a.mp4", "cello"),), {})
    with pytest.raises(InputError, match=r"none of the 1 videos in here can be used: muted: 1; the first: a\.mp4 is m"):
        staged_set.deal(facts, listing, tmp_path, division=Division(), root=Path("here"))


def test_the_staging_folder_goes_when_the_set_is_there_and_stays_after_an_error(tmp_path):
    stage = tmp_path / ".staging" / "tiny"
    with pytest.raises(KeyboardInterrupt), staged_set.staging_folder(stage, tmp_path / "tiny", PARAMETERS):
        (stage / "a.json").touch()
        raise KeyboardInterrupt
    assert (stage / "a.json").exists()
    with staged_set.staging_folder(stage, tmp_path / "tiny", PARAMETERS) as again:
        assert again == stage
        assert (stage / "a.json").exists()
    assert list(tmp_path.iterdir()) == []


def test_other_parameters_empty_it(tmp_path):
    stage = tmp_path / ".staging" / "tiny"
    with pytest.raises(KeyboardInterrupt), staged_set.staging_folder(stage, tmp_path, PARAMETERS):
        (stage / "a.json").touch()
        raise KeyboardInterrupt
    with staged_set.staging_folder(stage, tmp_path, {"rate_hz": 16000}):
        assert not (stage / "a.json").exists()


def test_one_process_at_a_time(tmp_path):
    stage = tmp_path / ".staging" / "tiny"
    with (
        staged_set.staging_folder(stage, tmp_path / "tiny", PARAMETERS),
        pytest.raises(InputError, match=r"another run prepares .*tiny; wait for it or choose another name"),
        staged_set.staging_folder(stage, tmp_path / "tiny", PARAMETERS),
    ):
        pass


def test_a_fingerprint_tells_sizes_but_not_times(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"12")
    videos = [Video("a", path, "cello")]
    before = staged_set.fingerprint(videos)
    path.write_bytes(b"34")
    assert staged_set.fingerprint(videos) == before
    path.write_bytes(b"345")
    assert staged_set.fingerprint(videos) != before
