"""The paper's scores on MUSIC, a data set on which this project was not evaluated."""

from mpnet_jax.comparison.cells import NO_MASK

SOURCE = "Xu, Dai and Lin, ICCV 2019, Table 1: MUSIC"
METRICS = ("nsdr", "sir", "sar", "amid")
_SOURCES = (2, 3)

# {(method, mask): (scores with two sounds, scores with three sounds)}, in the order of `METRICS`.
MUSIC: dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]] = {
    ("miml", NO_MASK): ((2.82, 4.94, 9.21, 16.37), (1.76, 3.32, 4.54, 25.32)),
    ("pixelplayer", "binary"): ((5.16, 10.96, 10.60, 15.81), (3.01, 6.38, 6.27, 24.01)),
    ("pixelplayer", "ratio"): ((6.09, 8.07, 14.93, 18.81), (4.83, 4.87, 11.19, 29.84)),
    ("mnet", "binary"): ((5.47, 12.63, 10.21, 11.83), (4.01, 7.89, 6.76, 23.76)),
    ("mnet", "ratio"): ((6.82, 10.12, 14.98, 13.90), (5.61, 5.03, 13.42, 24.05)),
    ("mpnet", "binary"): ((5.73, 12.75, 10.50, 11.22), (4.23, 8.18, 6.95, 23.10)),
    ("mpnet", "ratio"): ((7.00, 10.39, 15.31, 13.36), (5.75, 5.37, 13.68, 23.51)),
}


def separates_better(better: str, worse: str, *, mask: str, sources: int, metric: str) -> bool:
    """Returns whether one method is better in the paper's table; False where it has no number."""
    rows = [MUSIC.get((method, mask)) or MUSIC.get((method, NO_MASK)) for method in (better, worse)]
    if sources not in _SOURCES or None in rows:
        return False
    first, second = (row[_SOURCES.index(sources)][METRICS.index(metric)] for row in rows if row is not None)
    return first < second if metric == "amid" else first > second
