"""Tests of the paper's observations and of their verdicts."""

from collections import Counter

from mpnet_jax.comparison.report import published
from mpnet_jax.comparison.report.observations import verdict


def test_observations_of_scores_ordered_as_in_the_paper_hold(made) -> None:
    _, _, found = made
    lines = found["observations"]
    claims = {line["claim"] for line in lines}
    for part in ("MP-Net separates better than M-Net", "M-Net separates better than Pix", "PixelPlayer separates bet"):
        assert any(part in claim for claim in claims)
    assert all(line["verdict"] == "holds" for line in lines if "in SIR" in line["claim"])
    assert {line["verdict"] for line in lines} == {"holds"}
    assert sum("harder" in line["claim"] for line in lines) == 4
    assert not any("longer" in line["claim"] + line["where"] for line in lines)  # no method of the paper
    assert sum("loses less" in line["claim"] for line in lines) == 2 * 3
    assert sum("over 90 %" in line["claim"] for line in lines) == 2 * 3
    # NSDR everywhere; SIR, SAR and AMID where the paper's table on MUSIC has that order.
    better = Counter(line["claim"][-5:].strip("( )") for line in lines if "separates better" in line["claim"])
    assert better == {"NSDR": 9, "SIR": 9, "SAR": 8, "AMID": 7}
    counts = [line["difference"]["ci95"][1] for line in lines if "over 90 %" in line["claim"]]
    assert max(counts) <= 0.1 + 1e-9  # a share is at most 1


def test_verdicts() -> None:
    intervals = ([0.1, 2.0], [-2.0, -0.1], [-0.1, 0.1], [0.0, 1.0])
    assert {verdict({"ci95": interval, "seeds": 1}) for interval in intervals} == {"undecided"}
    assert [verdict({"ci95": interval, "seeds": 2}) for interval in intervals] == [
        "holds",
        "does not hold",
        "undecided",
        "undecided",
    ]


def test_the_published_numbers_are_complete() -> None:
    assert len(published.MUSIC) == 7
    assert all(len(numbers) == 4 for found in published.MUSIC.values() for numbers in found)
