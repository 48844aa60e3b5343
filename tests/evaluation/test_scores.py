import json

import numpy as np
import pytest

from mpnet_jax.evaluation.scores import RATIOS, MixtureScores, by_method, results, score
from mpnet_jax.evaluation.tables import table, table_of_counts, table_of_mixes, table_of_places
from mpnet_jax.steps.separated_mixtures import SeparatedMixture, Sounds

SAMPLES = 2000


def scores_of(sdr, mixture_sdr=(0.0, 0.0), reason=("", ""), **options):
    values = {
        "separated": sdr,
        "mixture": mixture_sdr,
        "oracle": (20.0, 20.0),
        "swapped": (-1.0, -3.0),
    } | options
    return MixtureScores(
        ratios={
            name: {ratio: np.array(value, float) + number for number, ratio in enumerate(RATIOS)}
            for name, value in values.items()
        },
        reasons={name: reason if name == "separated" else ("",) * len(sdr) for name in values},
        amid={"separated": 10.0, "mixture": 30.0, "oracle": 5.0},
        step=[1, 0],
    )


SCORES = [scores_of((4.0, 8.0), (1.0, -1.0)), scores_of((10.0, 14.0), (2.0, 2.0))]
VIDEOS = [("a", "b"), ("c", "d")]
CLASSES = [("cello", "flute"), ("tuba", "erhu")]


def test_means_by_hand():
    out = results(SCORES, VIDEOS, CLASSES)
    # A mixture's SDR is the mean over its sources: 6 and 12. Here SIR is 1 dB and SAR 2 dB higher.
    assert [out[ratio]["mean"] for ratio in RATIOS] == pytest.approx([9.0, 10.0, 11.0])
    assert out["nsdr"]["mean"] == pytest.approx(((6 - 0) + (12 - 2)) / 2)
    assert out["nsdr"]["count"] == 2
    assert out["mixture"]["sdr"]["mean"] == pytest.approx(1.0)
    assert "nsdr" not in out["mixture"]
    assert out["oracle"]["nsdr"]["mean"] == pytest.approx(19.0)
    assert out["swapped"]["nsdr"]["mean"] == pytest.approx(-3.0)
    assert (out["amid"]["mean"], out["mixture"]["amid"]["mean"], out["oracle"]["amid"]["mean"]) == (10, 30, 5)
    assert "amid" not in out["swapped"]
    low, high = out["sdr"]["ci95"]
    assert 6 <= low < high <= 12


def test_results_list_all_methods_with_the_main_one_last():
    both = [scores_of((4.0, 8.0), mnet=(3.0, 5.0)), scores_of((10.0, 14.0), mnet=(9.0, 11.0))]
    out = results(both, VIDEOS, CLASSES, method="mpnet")
    assert {name: summary["sdr"]["mean"] for name, summary in out["methods"].items()} == {"mnet": 7.0, "mpnet": 9.0}
    assert out["methods"]["mpnet"]["nsdr"] == out["nsdr"]
    assert [line.split()[0] for line in table(out).splitlines()[1:3]] == ["M-Net", "MP-Net"]


def test_differences_are_paired():
    # M-Net is 2 dB worse on every mixture, so the paired interval has no width.
    both = [scores_of((4.0, 8.0), mnet=(2.0, 6.0)), scores_of((10.0, 14.0), mnet=(8.0, 12.0))]
    for s in both:
        s.amid["mnet"] = 11.0
    spoiled = scores_of((np.nan, 1.0), reason=("not finite", ""), mnet=(1.0, 1.0))
    spoiled.amid["mnet"] = 11.0
    out = results([*both, spoiled], [*VIDEOS, ("e", "f")], [*CLASSES, ("x", "y")], method="mpnet")
    (difference,) = out["differences"].items()
    assert difference[0] == "mpnet - mnet"
    assert difference[1]["nsdr"] == {"mean": 2.0, "ci95": [2.0, 2.0], "count": 2}
    assert difference[1]["amid"]["mean"] == pytest.approx(-1.0) and difference[1]["amid"]["count"] == 3
    assert "differences" in out["definitions"]


def test_tables_of_mixes_counts_and_places():
    out = results(SCORES, VIDEOS, CLASSES)
    lines = table_of_mixes({"2": by_method(out), "3": by_method(out)}).splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == ["NSDR by sounds", "M-Net", "oracle", "swapped"]
    assert lines[0].split()[-2:] == ["2", "3"]
    estimate = {"mean": 0.5, "ci95": [0.4, 0.6], "count": 4}
    counts = {"accuracy": estimate, "constant": {"guess": 1, "accuracy": estimate}}
    counts |= {"by_count": [{"sounding": 0, "accuracy": estimate}], "as_trained": counts | {"most": 2}}
    assert "0.50 [  0.40,  0.60]" in table_of_counts({"clips": counts})
    places = [{"scene": "one player", "guesses": {"centre": {"pointing": estimate}}}]
    assert table_of_places(places).splitlines()[1].split() == ["centre", "0.50", "[", "0.40,", "0.60]", "-", "-", "-"]


def test_each_mixture_is_listed():
    out = results(SCORES, VIDEOS, CLASSES)
    assert out["mixtures"][0] == {
        "index": 0,
        "video_ids": ["a", "b"],
        "classes": ["cello", "flute"],
        "sdr": [4.0, 8.0],
        "sir": [5.0, 9.0],
        "sar": [6.0, 10.0],
        "nsdr": [3.0, 9.0],
        "mixture_sdr": [1.0, -1.0],
        "swapped_nsdr": [-2.0, -2.0],
        "amid": 10.0,
        "step": [1, 0],
    }


def test_a_silent_estimate_is_left_out_of_the_ratios_and_improves_by_0():
    spoiled = scores_of((np.nan, 30.0), reason=("silent estimate", ""), mnet=(np.nan, 31.0))
    spoiled.reasons["mnet"] = ("silent estimate", "")
    both = [scores_of((4.0, 8.0), (1.0, -1.0), mnet=(4.0, 8.0)), scores_of((10.0, 14.0), (2.0, 2.0), mnet=(10.0, 14.0))]
    for s in (*both, spoiled):
        s.amid["mnet"] = 11.0
    out = results([*both, spoiled], [*VIDEOS, ("e", "f")], [*CLASSES, ("x", "y")], method="mpnet")
    assert out["left_out"] == {"silent estimate": 1}
    # The silent source improves by 0, the other one by 30.
    assert out["mixtures"][2]["nsdr"] == [0.0, 30.0]
    assert (out["nsdr"]["count"], out["nsdr"]["mean"]) == (3, pytest.approx((6 + 10 + 15) / 3))
    assert out["by_mixture"]["methods"]["mnet"]["nsdr"][2] == 15.5
    assert (
        out["differences"]["mpnet - mnet"]["nsdr"]["count"],
        out["differences"]["mpnet - mnet"]["sdr"]["count"],
    ) == (3, 2)
    assert out["by_mixture"]["left_out"] == {
        "mnet": {"2": "silent estimate"},
        "mpnet": {"2": "silent estimate"},
        "mixture": {},
        "oracle": {},
        "swapped": {},
    }
    assert list(out["by_mixture"]["methods"]) == ["mnet", "mpnet"]
    beside = out["by_mixture"]["beside"]
    assert (beside["mixture"]["sdr"], beside["oracle"]["nsdr"], beside["swapped"]["sdr"]) == (
        [0.0, 2.0, 0.0],
        [20.0, 18.0, 20.0],
        [-2.0, -2.0, -2.0],
    )
    assert "left out: 1 silent estimate (which counts in NSDR, as 0)." in table(out)
    assert (out["sdr"]["count"], out["sdr"]["mean"]) == (2, pytest.approx(9.0))
    assert out["mixture"]["sdr"]["count"] == 3
    assert out["mixtures"][2]["sdr"] == [None, 30.0]
    assert json.loads(json.dumps(out, allow_nan=False)) == out


def test_a_mean_without_valid_scores_is_none():
    out = results([scores_of((np.nan, np.nan), reason=("silent estimate",) * 2)], VIDEOS[:1], CLASSES[:1])
    assert (out["sdr"]["mean"], out["sdr"]["count"]) == (None, 0)
    assert (out["nsdr"]["mean"], out["nsdr"]["count"]) == (0.0, 1)
    assert "0 mixtures; left out: 1 silent estimate" in table(out)


@pytest.mark.parametrize("reason", ["silent reference", "not finite", "dependent references"])
def test_other_mixtures_without_a_score_are_left_out_of_the_improvement(reason):
    spoiled = scores_of((np.nan, np.nan), (np.nan, np.nan), reason=(reason,) * 2)
    out = results([*SCORES, spoiled], [*VIDEOS, ("e", "f")], [*CLASSES, ("x", "y")])
    assert (out["nsdr"]["count"], out["left_out"], out["mixtures"][2]["nsdr"]) == (2, {reason: 1}, [None, None])


def test_a_silent_estimate_of_a_mixture_without_a_score_is_left_out():
    spoiled = scores_of((np.nan, np.nan), (np.nan, np.nan), reason=("silent estimate", "dependent references"))
    out = results([spoiled], VIDEOS[:1], CLASSES[:1])
    assert (out["nsdr"]["count"], out["mixtures"][0]["nsdr"]) == (0, [None, None])


def test_a_single_sound_has_no_improvement():
    one = scores_of((20.0,), (307.0,), reason=("",), oracle=(30.0,), swapped=(20.0,))
    out = results([one], [("a",)], [("cello",)])
    assert (out["nsdr"]["mean"], out["sdr"]["mean"]) == (None, 20.0)
    assert out["mixtures"][0]["nsdr"] == [None]


def test_results_include_their_definitions():
    out = results(SCORES, VIDEOS, CLASSES)
    assert {"NSDR", "average", "mixture", "oracle", "swapped", "BSS Eval", "AMID"} <= set(out["definitions"])
    assert all(out["definitions"].values())


def test_the_table_has_a_row_for_each_variant_and_the_number_of_mixtures():
    lines = table(results(SCORES, VIDEOS, CLASSES)).splitlines()
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "M-Net",
        "mixture",
        "oracle masks",
        "pictures swapped",
    ]
    assert lines[0].split() == ["NSDR", "SIR", "SAR", "SDR", "AMID"]
    assert lines[1].split()[1] == "8.00"
    assert lines[2].split()[1] == "-"  # no improvement of the mixture over itself
    assert lines[5].startswith("2 mixtures; left out: none.")
    assert len({len(line) for line in lines[:5]}) == 1


def separated_mixture(index):
    """Returns two white noises, an estimate with a tenth of noise added, and a swapped one in the wrong order."""
    rng = np.random.default_rng(index)
    truth = rng.standard_normal((2, SAMPLES)).astype(np.float32)
    magnitude = rng.uniform(size=(2, 16, 16)).astype(np.float32)
    zeros = np.zeros((2, 8, 16), np.float32)
    return SeparatedMixture(
        index=index,
        mixture=truth.sum(0),
        truth=truth,
        separated=truth + 0.1 * rng.standard_normal(truth.shape).astype(np.float32),
        oracle=truth + 0.01 * rng.standard_normal(truth.shape).astype(np.float32),
        swapped=truth[::-1] + 0.1 * rng.standard_normal(truth.shape).astype(np.float32),
        mixture_magnitude=magnitude.sum(0),
        true_magnitude=magnitude,
        separated_magnitude=magnitude,
        oracle_magnitude=magnitude,
        mask=zeros,
        before=zeros,
        true_mask=zeros,
        step=np.array([index % 2, 1 - index % 2]),
        frames=np.zeros((2, 4, 4, 3), np.uint8),
        others={"mnet": Sounds(truth + 0.3 * rng.standard_normal(truth.shape).astype(np.float32), magnitude)},
    )


def test_scores_of_known_estimates():
    out = list(score(map(separated_mixture, range(2)), workers=1, bss="fft"))
    assert [s.step for s in out] == [[0, 1], [1, 0]]
    for s in out:
        # A tenth of noise gives 20 dB and a hundredth 40; filters of 512 taps on 2,000 samples fit some of it.
        assert np.all(s.ratios["separated"]["sdr"] > 19) and np.all(s.ratios["separated"]["sdr"] < 24)
        assert np.all(s.ratios["oracle"]["sdr"] > 39)
        assert np.all(np.abs(s.ratios["mixture"]["sdr"]) < 4)
        assert np.all(s.ratios["swapped"]["sdr"] < 0)
        assert np.all(s.ratios["mnet"]["sdr"] > 10) and np.all(s.ratios["mnet"]["sdr"] < 15)
        assert s.reasons["separated"] == ("", "")
        assert set(s.amid) == {"separated", "mixture", "oracle", "mnet"}
        assert s.amid["separated"] == s.amid["oracle"] < s.amid["mixture"]


def test_amid_is_computed_only_on_request(monkeypatch):
    def refused(*_):
        raise AssertionError("AMID takes as long as all ratios")

    monkeypatch.setattr("mpnet_jax.metrics.workers.amid", refused)
    (scored,) = score([separated_mixture(0)], workers=1, bss="fft", amid=False)
    assert scored.amid == {} and np.all(scored.ratios["separated"]["sdr"] > 19)
    out = results([scored, scored], VIDEOS, CLASSES, method="mpnet")
    assert "amid" not in out and "amid" not in out["methods"]["mnet"] and out["mixtures"][0]["amid"] is None
    assert all("amid" not in of for part in ("methods", "beside") for of in out["by_mixture"][part].values())
    assert "amid" not in out["differences"]["mpnet - mnet"]
    assert table(out).splitlines()[1].split()[-1] == "-"
