import numpy as np
import pytest

from mpnet_jax.evaluation.score_log import ScoreLog, fingerprint
from mpnet_jax.evaluation.scores import MixtureScores

FACTS = {"networks": {"mnet": "a1"}, "mixtures": "b2"}


def scores(number):
    return MixtureScores(
        ratios={"separated": {"sdr": np.array([0.1 + number, np.nan]), "sir": np.array([np.inf, -1e-17])}},
        reasons={"separated": ("", "silent estimate")},
        amid={"separated": 12.5 + number, "oracle": float("nan")},
        step=[1, 0],
    )


def assert_same(one, other):
    for ratio, values in one.ratios["separated"].items():
        np.testing.assert_array_equal(values, other.ratios["separated"][ratio])
    assert (one.reasons, one.step) == (other.reasons, other.step)
    np.testing.assert_array_equal(list(one.amid.values()), list(other.amid.values()))
    assert list(one.amid) == list(other.amid)


def opened(folder, facts=FACTS):
    return ScoreLog(folder / "scores", "mix2", facts)


@pytest.fixture
def path(tmp_path):
    with opened(tmp_path) as log:
        for number in (0, 2):
            log.add(number, scores(number))
    (written,) = (tmp_path / "scores").iterdir()
    assert written.name.startswith("mix2-") and written.suffix == ".jsonl"
    return written


def test_scores_are_read_back_exactly(path, tmp_path):
    with opened(tmp_path) as log:
        assert sorted(log.done) == [0, 2]
        assert_same(log.done[2], scores(2))
        log.add(1, scores(1))
    with opened(tmp_path) as log:
        assert sorted(log.done) == [0, 1, 2]


def test_the_mixture_of_an_incomplete_line_is_scored_again(path, tmp_path):
    text = path.read_text()
    path.write_text(text[:-20])
    with opened(tmp_path) as log:
        assert sorted(log.done) == [0]
        log.add(2, scores(2))
    assert path.read_text() == text


@pytest.mark.parametrize("facts", [FACTS | {"mixtures": "c3"}, FACTS | {"networks": {"mnet": "d4"}}])
def test_scores_of_other_networks_or_mixtures_are_not_used(path, facts, tmp_path):
    with opened(tmp_path, facts) as log:
        assert log.done == {}
    with opened(tmp_path) as log:  # the other log is unchanged
        assert sorted(log.done) == [0, 2]


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"fingerprint": 3}\n{}'])
def test_a_damaged_log_starts_anew(path, content, tmp_path):
    path.write_text(content)
    with opened(tmp_path) as log:
        assert log.done == {}


def test_a_fingerprint_does_not_depend_on_the_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
