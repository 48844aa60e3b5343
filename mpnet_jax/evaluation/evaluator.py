"""The parts of an evaluation: separation, counting, localisation, the far data set, and examples for the report."""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from absl import logging

from data_pipeline.command import InputError
from data_pipeline.loader import Batch, evaluation_batches
from data_pipeline.mixing import SourcePlan
from data_pipeline.mixture_list import MixtureListSpec, fingerprint, outline
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import FrameSpec
from mpnet_jax.evaluation import counting, scenes, scores
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.evaluation.score_log import ScoreLog
from mpnet_jax.methods.registry import Method
from mpnet_jax.metrics.definitions import DEFINITIONS
from mpnet_jax.report.example import ReportExample, choose_examples
from mpnet_jax.report.sections.places import PlaceExample
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.data import named_list, split_list
from mpnet_jax.run.facts import usable_cores
from mpnet_jax.steps.count_step import MODES
from mpnet_jax.steps.device_pass import Separator
from mpnet_jax.steps.separated_mixtures import SeparatedMixture, separate_mixtures
from mpnet_jax.weights.trained import TrainedNetworks

Mixtures = Sequence[Sequence[SourcePlan]]
_PLACES_SHOWN = 6  # examples of each kind of scene in the report
_NOISES = 48  # mixtures of noise alone at each level, for counting


class Evaluator:
    """The parts of an evaluation of one checkpoint on one split.

    Attributes:
        networks: The restored networks.
        own: The fixed mixtures of the run's number of sounds.
    """

    def __init__(
        self, method: Method, workdir: Path, *, stores: Mapping[str, RecordStore], options: EvaluationOptions
    ) -> None:
        """Restores the networks.

        Args:
            method: The method of the run.
            workdir: Folder of the run.
            stores: See `options.open_stores`.
            options: What to evaluate.

        Raises:
            InputError: There is no checkpoint, or it is of another model.
        """
        self._method, self._workdir, self._stores = method, workdir, stores
        self._audio, self._spec = method.audio, method.evaluation
        self._split, self._store = options.split, stores[options.split]
        checkpoints = Checkpoints(workdir)
        self.networks = TrainedNetworks(method, checkpoints, options.checkpoint)
        checkpoints.close()
        self.own = split_list(self._audio, workdir, self._store, self._spec.list_spec(self._split), self._split)
        logging.info("%s of %s, on %s", options.checkpoint, self.networks, self._split)

    def separation(self, sounds: int) -> dict[str, Any]:
        """Separates and scores the fixed mixtures of a number of sounds; see `scores.results`.

        Scores are written to `scores/` one by one, so an interrupted evaluation resumes there.
        """
        spec = self._spec.list_spec(self._split, sounds)
        # AMID takes half of the time, and is reported only for the number of sounds in training.
        amid = sounds == self._spec.drawn.sources
        return self._scored(spec, self._store, f"{self._split}_mix{sounds}", amid=amid)

    def far(self) -> dict[str, Any]:
        """Separates and scores mixtures of the far data set, with the number of sounds in training."""
        store, spec = self._stores["far"], self._spec.list_spec("far")
        return self._scored(spec, store, f"far_mix{spec.sources}", amid=True)

    def _scored(self, spec: MixtureListSpec, store: RecordStore, name: str, *, amid: bool) -> dict[str, Any]:
        """Returns the results of a list of mixtures; scores in the log of that name are not computed again."""
        mixtures = named_list(self._audio, self._workdir, store, spec, name)
        facts = {
            "networks": dict(self.networks.fingerprints),
            "mixtures": fingerprint(store, mixtures),
            "definitions": DEFINITIONS,
            "amid": amid,
        } | self._spec.scoring
        with ScoreLog(self._workdir / "scores", name, facts) as log:
            missing = [index for index in range(len(mixtures)) if index not in log.done]
            with _progress(len(mixtures), name, done=len(log.done)) as bar:
                separated = self._separate([mixtures[index] for index in missing], store)
                scored = scores.score(separated, workers=usable_cores(), bss=self._spec.bss, amid=amid)
                for index, mixture_scores in zip(missing, scored, strict=True):
                    log.add(index, mixture_scores)
                    bar.update()
        ordered = [log.done[index] for index in range(len(mixtures))]
        video_ids, classes = _video_ids(store, mixtures), _classes(store, mixtures)
        out = scores.results(ordered, video_ids, classes, method=self.networks.main)
        out["by_mixture"] = {"outline_sha256": outline(store, mixtures, spec), "video_ids": video_ids} | out[
            "by_mixture"
        ]
        return out

    def counting(self) -> dict[str, Any]:
        """Counts the sounds of mixtures with silent clips; epsilon is chosen on the validation split alone."""
        remainder = self._method.config.recursion.remainder
        silence = counting.amount_of_noise(self._spec.silence_dbfs, self._audio, remainder)
        trained, visible = self._spec.drawn.sources, self._spec.counting_clips
        stores = {split: self._stores[split] for split in ("validation", self._split)}
        # Networks trained on two sounds may not tell four from five. An epsilon chosen for these would lower the
        # accuracy on mixtures of few sounds.
        specs = {
            split: counting.with_silent_clips(
                self._spec.drawn, count=self._spec.counting_mixtures, visible=visible, most=most
            )
            for split, most in (("validation", min(trained, visible - 1)), (self._split, visible - 1))
        }
        lists = {
            split: named_list(self._audio, self._workdir, stores[split], specs[split], f"{split}_{kind}")
            for split, kind in (("validation", "epsilon"), (self._split, "counting"))
        }
        sounding = {split: np.array([sum(plan.gain > 0 for plan in m) for m in lists[split]]) for split in lists}
        video_ids = _video_ids(self._store, lists[self._split])
        out: dict[str, Any] = {
            "tuned_on": "validation",
            "method": self.networks.main,
            "silence_dbfs": self._spec.silence_dbfs,
            "definition": counting.DEFINITION,
            "by_mixture": {
                "outline_sha256": outline(self._store, lists[self._split], specs[self._split]),
                "video_ids": video_ids,
                "sounding": sounding[self._split].tolist(),
            },
        }
        for mode in MODES:
            separator = self.networks.separator(self._method.count_step(self.networks.main, mode=mode))
            remaining = {
                split: counting.remaining_amounts(
                    separator, self._batches(lists[split], f"counting by {mode}, {split}", stores[split])
                )
                for split in stores
            }
            epsilon, curve = counting.choose_epsilon(
                remaining["validation"], sounding["validation"], epsilon_absolute=silence
            )
            ends = {"epsilon_relative": epsilon, "epsilon_absolute": silence}
            out[mode] = counting.count_results(
                remaining[self._split], sounding[self._split], video_ids, most=trained, **ends
            )
            out[mode] |= {"curve": curve, "noise": []}
            for level in counting.NOISE_DBFS:
                batches = self._batches(lists[self._split][:_NOISES], f"noise at {level:g} dBFS", self._store)
                noise = counting.noise_batches(batches, self._audio, level_dbfs=level, seed=self._spec.drawn.seed)
                found = counting.counted(counting.remaining_amounts(separator, noise), **ends)
                counts = np.bincount(found, minlength=self._spec.counting_clips + 1).tolist()
                out[mode]["noise"].append({"level_dbfs": level, "counted": counts})
        return out

    def localisation(self) -> tuple[list[dict[str, Any]], list[PlaceExample]]:
        """Locates the sounding player in frames with one player, and in frames with a second, silent player."""
        store, own = self._stores["places"], self._spec.drawn
        separator = self._place_separator()
        out, examples = [], []
        for name, sources in (("one player", 1), ("two players", 2)):
            spec = MixtureListSpec(
                count=self._spec.places_mixtures,
                sources=sources,
                same_class=False,
                level_difference_db=0.0,
                floor_dbfs=own.floor_dbfs,
                level_dbfs=own.level_dbfs,
                seed=own.seed,
                sounding=(1,),
            )
            mixtures = named_list(self._audio, self._workdir, store, spec, f"places_{sources}")
            batches = self._batches(mixtures, name, store, frames=FrameSpec(1, self._spec.places_frame_px))
            located = list(scenes.scenes(separator, batches))
            if not any(np.isfinite(scene.box).all() for scene in located):
                raise InputError(
                    f"{store.folder} has no boxes; its videos need them in a .json beside each, see docs/DATA.md"
                )
            out.append(scenes.localisation_results(name, located, _video_ids(store, mixtures)))
            out[-1]["by_mixture"]["outline_sha256"] = outline(store, mixtures, spec)
            examples += scenes.place_examples(located, _classes(store, mixtures), most=_PLACES_SHOWN)
        return out, examples

    def examples(self, out: dict[str, Any]) -> list[ReportExample]:
        """Returns examples for the report: the best, median and worst mixtures, which are separated again."""
        rows = out["mixtures"]
        nsdr = np.array([np.mean([np.nan if v is None else v for v in row["nsdr"]]) for row in rows])
        chosen = choose_examples(nsdr, self._spec.examples)
        mixtures = [self.own[index] for index, _ in chosen]
        if not mixtures:
            return []
        return [
            self._report_example(mixture, rows[index], rank=rank, heat=heat)
            for (index, rank), mixture, heat in zip(
                chosen, self._separate(mixtures, self._store), self._heat_maps(mixtures), strict=True
            )
        ]

    def _report_example(
        self, mixture: SeparatedMixture, row: Mapping[str, Any], *, rank: str, heat: np.ndarray | None
    ) -> ReportExample:
        """Returns the report's example of a mixture; `row` is its entry under `mixtures` in the results."""
        classes, axis = row["classes"], self._method.axis
        return ReportExample(
            title=f"{rank.capitalize()}: mixture {row['index']}, {' and '.join(classes)}",
            classes=classes,
            video_ids=row["video_ids"],
            frames=mixture.frames,
            rate_hz=self._audio.rate_hz,
            mixture_waveform=mixture.mixture,
            separated_waveform=mixture.separated,
            true_waveform=mixture.truth,
            mixture_spectrogram=np.asarray(axis.warp(mixture.mixture_magnitude)),
            separated_spectrogram=np.asarray(axis.warp(mixture.separated_magnitude)),
            true_spectrogram=np.asarray(axis.warp(mixture.true_magnitude)),
            mask=mixture.mask,
            true_mask=mixture.true_mask,
            row_hz=axis.hz,
            hop_seconds=self._audio.hop_samples / self._audio.rate_hz,
            scores=[{name: row[name][n] for name in ("sdr", "sir", "sar", "nsdr")} for n in range(len(classes))],
            heat=heat,
        )

    def _place_separator(self) -> Separator:
        """Returns the pass of one step that maps the energy over the single places of a frame (Eq. 7)."""
        return self.networks.separator(self._method.place_step(self.networks.main, steps=1, place_side=1))

    def _heat_maps(self, mixtures: Mixtures) -> Iterator[np.ndarray | None]:
        """Yields the energy maps of the sources' own frames in the first step, or None without a recursion (Eq. 7)."""
        if not self._method.has_recursion:
            yield from [None] * len(mixtures)
            return
        separator = self._place_separator()
        for batch in self._batches(mixtures, "heat maps", self._store):
            maps = scenes.maps_of_sources(separator, batch)
            yield from maps[batch["valid"]]

    def _separate(self, mixtures: Mixtures, store: RecordStore) -> Iterator[SeparatedMixture]:
        if not mixtures:
            return iter(())
        separators = dict(self._separators)
        main = separators.pop(self.networks.main)
        return separate_mixtures(main, self._read(mixtures, store), separators, features=self.networks.features())

    @functools.cached_property
    def _separators(self) -> dict[str, Any]:
        return self.networks.separators()

    def _batches(
        self, mixtures: Mixtures, title: str, store: RecordStore, frames: FrameSpec | None = None
    ) -> Iterator[Batch]:
        """Yields batches and shows a progress bar."""
        with _progress(len(mixtures), title) as bar:
            for batch in self._read(mixtures, store, frames):
                yield batch
                bar.update(int(batch["valid"].sum()))

    def _read(self, mixtures: Mixtures, store: RecordStore, frames: FrameSpec | None = None) -> Iterator[Batch]:
        return evaluation_batches(
            store,
            mixtures,
            audio=self._audio,
            frames=frames or self._method.data.frames,
            batch_size=self._spec.batch_size,
        )


def _video_ids(store: RecordStore, mixtures: Mixtures) -> list[list[str]]:
    return [[store.clips[plan.clip].video_id for plan in mixture] for mixture in mixtures]


def _classes(store: RecordStore, mixtures: Mixtures) -> list[list[str]]:
    return [[store.classes[store.clips[plan.clip].label] for plan in mixture] for mixture in mixtures]


def _progress(total: int, title: str, *, done: int = 0) -> "tqdm.tqdm[Any]":
    interval = 1 if sys.stderr.isatty() else 15
    return tqdm.tqdm(total=total, initial=done, unit="mixture", desc=title, mininterval=interval)
