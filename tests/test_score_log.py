import numpy as np
import pytest

from mpnet_jax.score_log import ScoreLog, fingerprint
from mpnet_jax.scores import MixtureScores

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


@pytest.fixture
def path(tmp_path):
    with ScoreLog(tmp_path / "scores" / "mix2.jsonl", FACTS) as log:
        for number in (0, 2):
            log.add(number, scores(number))
    return tmp_path / "scores" / "mix2.jsonl"


def test_what_was_scored_is_read_back_to_the_last_bit(path):
    with ScoreLog(path, FACTS) as log:
        assert sorted(log.done) == [0, 2]
        assert_same(log.done[2], scores(2))
        log.add(1, scores(1))
    with ScoreLog(path, FACTS) as log:
        assert sorted(log.done) == [0, 1, 2]


def test_half_a_line_is_scored_again(path):
    text = path.read_text()
    path.write_text(text[:-20])
    with ScoreLog(path, FACTS) as log:
        assert sorted(log.done) == [0]
        log.add(2, scores(2))
    assert path.read_text() == text


@pytest.mark.parametrize("facts", [FACTS | {"mixtures": "c3"}, FACTS | {"networks": {"mnet": "d4"}}])
def test_scores_of_other_networks_or_mixtures_are_not_taken(path, facts):
    with ScoreLog(path, facts) as log:
        assert log.done == {}
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"fingerprint": 3}\n{}'])
def test_a_damaged_log_is_begun_anew(path, content):
    path.write_text(content)
    with ScoreLog(path, FACTS) as log:
        assert log.done == {}


def test_a_fingerprint_does_not_depend_on_the_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
