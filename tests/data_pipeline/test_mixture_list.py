import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.mixture_list import MixtureListSpec, draw, fingerprint, load_or_draw, outline
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec
from tests.support.records import parse

AUDIO = AudioSpec(rate_hz=8000, clip_samples=4032, fft_samples=254, hop_samples=64)
SPEC = MixtureListSpec(
    count=12, sources=2, same_class=False, level_difference_db=6.0, floor_dbfs=-40.0, level_dbfs=-20.0, seed=3
)


@pytest.fixture(scope="module")
def store(tiny_set):
    return RecordStore.open(tiny_set, "tiny", "train")


@pytest.fixture(scope="module")
def mixtures(store):
    return draw(store, AUDIO, SPEC)


def window_rms_db(store, plan):
    samples = parse(store, plan.clip)["audio"].numpy()[plan.start : plan.start + AUDIO.clip_samples]
    assert len(samples) == AUDIO.clip_samples
    return 10 * np.log10(np.mean((plan.gain * samples / 32768.0) ** 2))


def classes_of(store, mixture):
    return tuple(sorted(store.clips[plan.clip].label for plan in mixture))


def test_some_are_seen_and_not_heard(store, tmp_path):
    spec = dataclasses.replace(SPEC, count=8, sources=4, sounding=(0, 1, 2, 3))
    drawn = load_or_draw(tmp_path / "list.json", store, AUDIO, spec)
    assert [sum(plan.gain > 0 for plan in mixture) for mixture in drawn] == [0, 1, 2, 3, 0, 1, 2, 3]
    for mixture in drawn:
        sounding = [plan.gain > 0 for plan in mixture]
        assert sounding == sorted(sounding, reverse=True)
        levels = [window_rms_db(store, plan) for plan in mixture if plan.gain > 0]
        assert not levels or np.mean(levels) == pytest.approx(-20.0, abs=1e-4)
    assert load_or_draw(tmp_path / "list.json", store, AUDIO, spec) == drawn
    with pytest.raises(InputError, match="was drawn with sounding="):
        load_or_draw(tmp_path / "list.json", store, AUDIO, dataclasses.replace(spec, sounding=()))


def test_pairs_of_classes_come_in_rounds(store, mixtures):
    # Four classes make six pairs: two complete rounds.
    for start in (0, 6):
        round_ = Counter(classes_of(store, mixture) for mixture in mixtures[start : start + 6])
        assert len(round_) == 6 and set(round_.values()) == {1}
        assert all(first != second for first, second in round_)
    first = Counter(
        store.clips[mixture[0].clip].label for mixture in draw(store, AUDIO, dataclasses.replace(SPEC, count=24))
    )
    assert len(first) == 4  # no class always comes first


def test_levels_differ_by_what_was_drawn_and_average_to_the_level(store, mixtures):
    levels = np.array([[window_rms_db(store, plan) for plan in mixture] for mixture in mixtures])
    np.testing.assert_allclose(levels.mean(1), -20.0, atol=1e-4)
    differences = levels[:, 1] - levels[:, 0]
    assert np.all(np.abs(differences) <= 6.0 + 1e-4)
    assert differences.min() < -1 and differences.max() > 1
    none = draw(store, AUDIO, dataclasses.replace(SPEC, count=4, level_difference_db=0.0))
    np.testing.assert_allclose([[window_rms_db(store, p) for p in m] for m in none], -20.0, atol=1e-4)


def test_triangular_levels_treat_all_sounds_alike(store, tmp_path):
    spec = dataclasses.replace(SPEC, count=60, level_difference_db=20.0, level_distribution="triangular")
    drawn = load_or_draw(tmp_path / "list.json", store, AUDIO, spec)
    levels = np.array([[window_rms_db(store, plan) for plan in mixture] for mixture in drawn])
    np.testing.assert_allclose(levels.mean(1), -20.0, atol=1e-4)
    differences = levels[:, 1] - levels[:, 0]
    assert 10.0 < np.abs(differences).max() <= 20.0 + 1e-4
    assert np.abs(differences).mean() == pytest.approx(20 / 3, abs=1.5)
    with pytest.raises(InputError, match="was drawn with level_distribution=triangular, this run asks for uniform"):
        load_or_draw(tmp_path / "list.json", store, AUDIO, dataclasses.replace(spec, level_distribution="uniform"))


def test_a_list_from_before_there_was_a_choice_is_taken(store, tmp_path, mixtures):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    saved = json.loads(path.read_text())
    for field in ("sounding", "level_distribution"):
        del saved["drawn"][field]
    path.write_text(json.dumps(saved))
    assert load_or_draw(path, store, AUDIO, SPEC) == mixtures


def test_an_outline_forgives_rounding_and_nothing_else(store, mixtures):
    known = outline(store, mixtures, SPEC)
    rounded = [[dataclasses.replace(plan, gain=plan.gain * (1 + 1e-6)) for plan in mixture] for mixture in mixtures]
    assert outline(store, rounded, SPEC) == known and fingerprint(store, rounded) != fingerprint(store, mixtures)
    moved = [[dataclasses.replace(plan, start=plan.start + 1) for plan in mixture] for mixture in mixtures]
    assert outline(store, moved, SPEC) != known
    assert outline(store, mixtures, dataclasses.replace(SPEC, level_difference_db=7.0)) != known


def test_a_list_depends_on_its_seed_alone(store, mixtures):
    assert draw(store, AUDIO, SPEC) == mixtures
    assert draw(store, AUDIO, dataclasses.replace(SPEC, seed=4)) != mixtures


def test_two_of_one_class_are_two_videos(store):
    same = draw(store, AUDIO, dataclasses.replace(SPEC, same_class=True, count=30))
    assert all(len({store.clips[plan.clip].video_id for plan in mixture}) == 2 for mixture in same)
    assert any(len(set(classes_of(store, mixture))) == 1 for mixture in same)


def test_a_saved_list_comes_back_as_it_was(store, mixtures, tmp_path):
    path = tmp_path / "lists" / "test.json"
    assert load_or_draw(path, store, AUDIO, SPEC) == mixtures
    assert [p.name for p in path.parent.iterdir()] == ["test.json"]
    before = path.read_bytes()
    assert load_or_draw(path, store, AUDIO, SPEC) == mixtures
    assert path.read_bytes() == before
    source = json.loads(before)["mixtures"][0][0]
    clip = store.clips[mixtures[0][0].clip]
    assert (source["video_id"], source["class"]) == (clip.video_id, store.classes[clip.label])


def test_the_saved_list_counts_not_the_drawing(store, tmp_path):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    saved = json.loads(path.read_text())
    saved["mixtures"][0][0]["gain"] = 0.125
    path.write_text(json.dumps(saved))
    assert load_or_draw(path, store, AUDIO, SPEC)[0][0].gain == 0.125


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 13), ("seed", 4), ("sources", 3), ("floor_dbfs", -30.0), ("same_class", True)],
)
def test_a_list_drawn_otherwise_is_refused(store, tmp_path, field, value):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    message = f"was drawn with {field}={getattr(SPEC, field)}, this run asks for {value}; use the"
    with pytest.raises(InputError, match=message):
        load_or_draw(path, store, AUDIO, dataclasses.replace(SPEC, **{field: value}))


def test_a_list_for_another_window_is_refused(store, tmp_path):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    with pytest.raises(InputError, match="clip_samples=4032, this run asks for 4096"):
        load_or_draw(path, store, dataclasses.replace(AUDIO, clip_samples=4096), SPEC)


def test_a_list_of_other_videos_is_refused(store, tiny_set, tmp_path):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    with pytest.raises(InputError, match=r"names video .*, which is not in the split"):
        load_or_draw(path, RecordStore.open(tiny_set, "tiny", "test"), AUDIO, SPEC)


def test_a_window_that_its_record_does_not_hold_is_refused(store, tmp_path):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    saved = json.loads(path.read_text())
    saved["mixtures"][2][1]["start"] = 10_000_000
    path.write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"starts at sample 10000000 .* has only"):
        load_or_draw(path, store, AUDIO, SPEC)


@pytest.mark.parametrize("text", ["{", "[]", '{"mixtures": []}', '{"drawn": [], "mixtures": []}', "MISSING KEY"])
def test_a_file_that_is_no_list_is_refused(store, tmp_path, text):
    path = tmp_path / "list.json"
    load_or_draw(path, store, AUDIO, SPEC)
    if text == "MISSING KEY":
        saved = json.loads(path.read_text())
        del saved["mixtures"][0][0]["gain"]
        text = json.dumps(saved)
    path.write_text(text)
    with pytest.raises(InputError, match=r"is no list of mixtures .*; delete it, and it is drawn again"):
        load_or_draw(path, store, AUDIO, SPEC)


def test_too_quiet_windows_are_not_taken(store):
    with pytest.raises(InputError, match=r"has hardly a window above 0.0 dBFS .*none in 200 draws.*lower config"):
        draw(store, AUDIO, dataclasses.replace(SPEC, floor_dbfs=0.0))


def test_many_classes_are_not_listed():
    from data_pipeline.mixture_list import _class_tuples

    tuples = _class_tuples(list(range(60)), 5, np.random.default_rng(0))  # 5,461,512 combinations
    drawn = [next(tuples) for _ in range(50)]
    assert all(len(set(labels.tolist())) == 5 for labels in drawn)
    assert len({label for labels in drawn for label in labels.tolist()}) > 50
