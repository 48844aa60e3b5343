"""From what was separated and found to what the report shows of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_pipeline.spec import AudioSpec
from mpnet_jax.evaluation.scenes import Scene, scores_of
from mpnet_jax.report.example import ReportExample
from mpnet_jax.report.sections.places import PlaceExample
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.separated_mixtures import SeparatedMixture


def report_example(
    mixture: SeparatedMixture,
    row: Mapping[str, Any],
    *,
    rank: str,
    audio: AudioSpec,
    axis: FrequencyAxis,
    heat: np.ndarray | None,
) -> ReportExample:
    """One mixture for the report.

    Args:
        mixture: separated.
        row: its entry in the results file's `mixtures`.
        rank: "best", "median" or "worst".
        audio: of its sound.
        axis: on which its spectrograms are drawn.
        heat: energy map of each source's picture; None where the method has none.
    """
    classes = row["classes"]
    return ReportExample(
        title=f"{rank.capitalize()}: mixture {row['index']}, {' and '.join(classes)}",
        classes=classes,
        video_ids=row["video_ids"],
        frames=mixture.frames,
        rate_hz=audio.rate_hz,
        mixture_waveform=mixture.mixture,
        separated_waveform=mixture.separated,
        true_waveform=mixture.truth,
        mixture_spectrogram=np.asarray(axis.warp(mixture.mixture_magnitude)),
        separated_spectrogram=np.asarray(axis.warp(mixture.separated_magnitude)),
        true_spectrogram=np.asarray(axis.warp(mixture.true_magnitude)),
        mask=mixture.mask,
        true_mask=mixture.true_mask,
        row_hz=axis.hz,
        hop_seconds=audio.hop_samples / audio.rate_hz,
        scores=[{name: row[name][n] for name in ("sdr", "sir", "sar", "nsdr")} for n in range(len(classes))],
        heat=heat,
    )


def place_examples(scenes: Sequence[Scene], classes: Sequence[Sequence[str]], *, most: int) -> list[PlaceExample]:
    """Scenes for the report: the best, middle and worst by area under the curve, so that the page flatters nobody.

    Args:
        scenes: in the order of their list.
        classes: of each scene's players, the sounding one first.
        most: how many are shown at most.
    """
    scored = [(scores_of(scene, scene.energy), scene) for scene in scenes]
    known = sorted((s for s in scored if np.isfinite(s[0]["auc"])), key=lambda s: -s[0]["auc"])
    places = np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))
    examples = []
    for scores, scene in (known[place] for place in places):
        sounding, *others = classes[scene.index]
        beside = f", beside a silent {others[0]}" if others else ""
        examples.append(
            PlaceExample(
                title=f"{sounding} sounds{beside}",
                frame=scene.frame,
                heat=scene.energy,
                box=tuple(scene.box.tolist()),
                hit=scores["pointing"] == 1.0,
                note=f"AUC {scores['auc']:.2f}, IoU {scores['iou']:.2f}",
            )
        )
    return examples
