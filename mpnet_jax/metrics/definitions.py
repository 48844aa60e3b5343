"""Definitions of the reported numbers, which are written into every results file."""

from collections.abc import Iterable

from mpnet_jax.metrics import amid, bss_eval
from mpnet_jax.metrics.names import METHODS

# An evaluation only resumes results whose definitions equal these, so a change of their text discards earlier results.
DEFINITIONS = {
    "NSDR": "SDR of the separation minus SDR of the untouched mixture, in dB, source by source; 0 where the estimate "
    "is silent: nothing is gained, since BSS Eval ignores gain and silence is worth as much as the untouched mixture.",
    "average": "Each mixture counts once, as the mean of its sources; a mixture with an undefined source is left out "
    "and counted with its reason. A silent estimate has no SDR, SIR and SAR, and is counted as such.",
    "intervals": "95 %, from drawing videos, which mixtures share, with replacement.",
    "mixture": "The untouched mixture as the estimate of every source.",
    "oracle": "True binary masks on the network's frequency axis: the best that such masks can do.",
    "swapped": "The model with the pictures moved on by one source: what is left when the eyes are wrong.",
    "differences": "Of two methods on the same mixtures, mixture by mixture; what either left out is left out.",
}

# Additional notes on single methods, by their names in the results.
NOTES = {
    "miml": "MIML's class network learns from the labels of the training pictures, which no other method is told; in "
    "the test it sees pictures alone.",
    "miml_told": "The same with the true class of each visible clip: an upper bound of what a class network can tell.",
}


def definitions(methods: Iterable[str]) -> dict[str, str]:
    """Returns {name: text} for the results of the methods, which are named as in the results."""
    notes = {METHODS[name]: NOTES[name] for name in methods if name in NOTES}
    return DEFINITIONS | {"BSS Eval": bss_eval.DEFINITION, "AMID": amid.DEFINITION} | notes
