import dataclasses

import numpy as np
import pytest

beam = pytest.importorskip("apache_beam")


from data_pipeline.builders import beam_staging
from data_pipeline.builders.beam_staging import pipeline_options
from data_pipeline.command import InputError
from data_pipeline.prepare import Options, prepare
from data_pipeline.records.store import RecordStore
from data_pipeline.sources import FrameFolder, Place, Video, folder
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
CUT = CutSpec(fps=4, frame_px=24, chunk_seconds=2, min_seconds=1)
# Beam's own modules raise warnings on import.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def videos(tmp_path, write_video):
    for label in ("cello", "violin"):
        for number in range(3):
            write_video(tmp_path / "videos" / label / f"{number}.mp4", seconds=3, tone_hz=300 + 100 * number)
    (tmp_path / "videos" / "violin" / "bad.mp4").write_bytes(b"nothing")
    return tmp_path / "videos"


def build(data_dir, videos, *beam):
    prepare(Options("folder", Place(videos), data_dir, "tiny", CUT, workers=1, beam=beam))
    return data_dir / "tiny" / "1.0.0"


@pytest.mark.parametrize("option", [f"runner={RUNNER}", f"--runner={RUNNER}"])
def test_beam_and_the_pool_write_the_same_records(tmp_path, videos, option):
    with_beam, without = build(tmp_path / "beam", videos, option), build(tmp_path / "pool", videos)
    for split in ("train", "validation", "test"):
        if not (without / f"index-{split}.json").exists():
            continue
        first, second = (RecordStore.open(folder.parents[1], "tiny", split) for folder in (with_beam, without))
        assert first.clips == second.clips
        assert [first.read(index) for index in range(len(first))] == [second.read(i) for i in range(len(second))]
    for name in ("metadata.json", "prepare_summary.json", "index-train.json", "features.json"):
        assert (with_beam / name).read_text() == (without / name).read_text()
    assert not (tmp_path / "beam" / ".staging").exists()


def test_what_is_staged_is_not_decoded_again(tmp_path, videos):
    stage = tmp_path / "stage"
    stage.mkdir()
    listed = folder.find_videos(Place(videos)).videos
    first = staged_video.stage_video(listed[0], CUT, stage)
    written = next(stage.glob("*.sound")).stat().st_mtime_ns
    facts = beam_staging.stage_all(listed, CUT, stage, pipeline_options([f"runner={RUNNER}"]))
    assert [fact.video_id for fact in facts] == [video.id for video in listed]
    assert facts[0] == first
    assert min(path.stat().st_mtime_ns for path in stage.glob("*.sound")) == written
    assert [fact.reason for fact in facts if fact.reason] == ["not a video"]


def test_extracted_pictures_travel_with_their_sound(tmp_path):
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(1, 25):
        Image.new("RGB", (48, 24), (10 * number, 0, 0)).save(pictures / f"{number:06d}.jpg")
    np.save(tmp_path / "a.npy", np.sin(np.arange(3 * CUT.rate_hz) / 10).astype(np.float32))
    video = Video("a", tmp_path / "a.npy", "cello", pictures=FrameFolder(pictures, 24, 8.0))
    (facts,) = beam_staging.stage_all([video], CUT, tmp_path, pipeline_options([f"runner={RUNNER}"]))
    assert (facts.reason, facts.chunks) == (None, 2)


def test_workers_that_write_elsewhere_are_noticed(tmp_path, videos, monkeypatch):
    listed = folder.find_videos(Place(videos)).videos[:1]
    monkeypatch.setattr(beam_staging, "_stage", lambda video, cut, stage: dataclasses.asdict(cut) and None)
    with pytest.raises(InputError, match=r"cello/0\.mp4 was staged elsewhere than in .*; Beam's workers need the same"):
        beam_staging.stage_all(listed, CUT, tmp_path, pipeline_options([f"runner={RUNNER}"]))
