import numpy as np
import soundfile

from benchmarks.separation_speed import greatest_difference, write_scene
from data_pipeline.media import reader


def test_the_difference_between_stems_and_recording(tmp_path, write_video):
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 44_100)).clip(-1, 1)
    video = write_video(tmp_path / "a.mov", seconds=1.0, sound=sound)
    recorded = np.concatenate([block for _, block in reader.stream_channels(video)], axis=1).T
    out = tmp_path / "out"
    out.mkdir()
    soundfile.write(out / "sound1.wav", 0.25 * recorded, 44_100, subtype="FLOAT")
    soundfile.write(out / "residual.wav", 0.75 * recorded, 44_100, subtype="FLOAT")
    assert greatest_difference(video, out) < 1e-6
    wrong = 0.75 * recorded
    wrong[30_000, 1] += 0.01
    soundfile.write(out / "residual.wav", wrong, 44_100, subtype="FLOAT")
    assert abs(greatest_difference(video, out) - 0.01) < 1e-6


def test_a_scene_of_any_length(tmp_path, write_video):
    files = tuple(write_video(tmp_path / f"{name}.mp4", seconds=2.0) for name in "ab")
    write_scene(tmp_path / "scene.mp4", files, 5.0)
    header = reader.probe(tmp_path / "scene.mp4")
    assert abs(header.duration_s - 5.0) < 0.1
    height, width = header.picture_px
    assert height == 256 and width > 500  # two pictures of 4:3 side by side
