import numpy as np
import pytest
import soundfile

from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.render_scene import render
from data_pipeline.rendered.scene import LEVEL


def test_a_scene_shows_all_players_and_sounds_as_their_sum(tmp_path):
    render(tmp_path, ["tuba", "violin", "violin"], seconds=4.0, seed=1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1_tuba.wav",
        "2_violin.wav",
        "3_violin.wav",
        "scene.mp4",
    ]
    sounds = [soundfile.read(path, dtype="float32") for path in sorted(tmp_path.glob("*.wav"))]
    waves, rates = zip(*sounds, strict=True)
    assert all(np.sqrt(np.mean(wave**2)) == pytest.approx(LEVEL, rel=1e-4) for wave in waves)
    assert not np.allclose(waves[1], waves[2]), "two players of one instrument play two melodies"
    heard = reader.read_audio(tmp_path / "scene.mp4", rates[0])[: len(waves[0])]
    assert np.corrcoef(heard, sum(waves)[: len(heard)])[0, 1] > 0.95
    (picture,) = reader.read_frames(tmp_path / "scene.mp4", [1.0], 64)
    assert picture.shape == (64, 192, 3)
    left, middle, right = np.split(picture.astype(float), 3, axis=1)
    assert min(np.abs(left - middle).mean(), np.abs(middle - right).mean()) > 5


@pytest.mark.parametrize(("names", "sentence"), [(["kazoo"], "'kazoo', which is unknown"), ([], "is empty")])
def test_an_unknown_instrument_is_one_sentence(tmp_path, names, sentence):
    with pytest.raises(InputError, match=sentence):
        render(tmp_path / "out", names, seconds=1.0, seed=0)
    assert not (tmp_path / "out").exists()
