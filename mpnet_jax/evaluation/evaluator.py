"""What an evaluation consists of: separation, counting, localisation, examples to look at."""

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
from mpnet_jax.config import specs
from mpnet_jax.config.specs import Config
from mpnet_jax.evaluation import counting, scenes, scores
from mpnet_jax.evaluation.examples import place_examples, report_example
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.evaluation.score_log import ScoreLog
from mpnet_jax.methods import registry
from mpnet_jax.metrics.definitions import DEFINITIONS
from mpnet_jax.metrics.names import METHODS
from mpnet_jax.report.example import ReportExample, choose_examples
from mpnet_jax.report.sections.places import PlaceExample
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.data import data_fingerprint, mixture_list, named_list
from mpnet_jax.run.facts import usable_cores
from mpnet_jax.steps.count_step import MODES
from mpnet_jax.steps.separated_mixtures import SeparatedMixture, separate_mixtures
from mpnet_jax.weights.trained import TrainedMethods

Mixtures = Sequence[Sequence[SourcePlan]]
# Examples of places shown in the report, of each kind of scene.
_PLACES_SHOWN = 6
# Samples of noise alone that are counted at each level.
_NOISES = 48


class Evaluator:
    """The parts of an evaluation of one checkpoint on one split."""

    def __init__(
        self, config: Config, workdir: Path, *, stores: Mapping[str, RecordStore], asked: EvaluationOptions
    ) -> None:
        """Restores the methods.

        Args:
            config: the run's.
            workdir: the run's.
            stores: of `asked.open_stores`.
            asked: what to evaluate.

        Raises:
            InputError: no checkpoint, or another model's.
        """
        self._config, self._workdir, self._stores, self._asked = config, workdir, stores, asked
        self._split, self._store = asked.split, stores[asked.split]
        self._audio = specs.audio_spec(config)
        checkpoints = Checkpoints(workdir)
        self._methods = TrainedMethods(config, checkpoints, asked.checkpoint)
        checkpoints.close()
        self._own = mixture_list(config, workdir, self._store, self._split)
        logging.info("%s of %s, on %s", asked.checkpoint, self._methods.about(), self._split)

    def facts(self) -> dict[str, Any]:
        """What a results file says of the run."""
        main = self._methods.main
        return {
            "method": METHODS[main],
            "config": self._config.name,
            "split": self._split,
            "step": self._methods.steps[main],
            "step_of": dict(self._methods.steps),
            "steps": registry.rounds(self._config)[-1].last_step,
            "mask": self._config.mask,
            "seed": self._config.seed,
            "checkpoint": self._asked.checkpoint,
            "networks": dict(self._methods.fingerprints),
            "bss": self._config.evaluation.bss,
            "mixtures_sha256": fingerprint(self._store, self._own),
            "data": self._config.data.name,
            "data_sha256": data_fingerprint(self._config),
        }

    def separation(self, sounds: int) -> dict[str, Any]:
        """Separates and scores the fixed mixtures of a number of sounds; see `scores.results`.

        Scores are kept in `scores/` as they come, and an evaluation that was stopped goes on there.
        """
        spec = specs.mixture_list_spec(self._config, self._split, sounds)
        # AMID takes half the time, and is shown of mixtures as in training.
        amid = sounds == int(self._config.mixing.sources)
        return self._scored(spec, self._store, f"{self._split}_mix{sounds}", amid=amid)

    def far(self) -> dict[str, Any]:
        """The same of as many sounds as in training, from the test split of the far data set."""
        store, spec = self._stores["far"], specs.mixture_list_spec(self._config, "far")
        return self._scored(spec, store, f"far_mix{spec.sources}", amid=True)

    def _scored(self, spec: MixtureListSpec, store: RecordStore, name: str, *, amid: bool) -> dict[str, Any]:
        """Results of a list under its name, those that are known already from the log of that name."""
        mixtures = named_list(self._config, self._workdir, store, spec, name)
        facts = {
            "networks": dict(self._methods.fingerprints),
            "mixtures": fingerprint(store, mixtures),
            "bss": self._config.evaluation.bss,
            "definitions": DEFINITIONS,
            "amid": amid,
        }
        with ScoreLog(self._workdir / "scores", name, facts) as log:
            missing = [index for index in range(len(mixtures)) if index not in log.done]
            with _progress(len(mixtures), name, done=len(log.done)) as bar:
                separated = self._separate([mixtures[index] for index in missing], store)
                scored = scores.score(separated, workers=usable_cores(), bss=self._config.evaluation.bss, amid=amid)
                for index, found in zip(missing, scored, strict=True):
                    log.add(index, found)
                    bar.update()
        ordered = [log.done[index] for index in range(len(mixtures))]
        video_ids, classes = _video_ids(store, mixtures), _classes(store, mixtures)
        out = scores.results(ordered, video_ids, classes, method=self._methods.main)
        out["by_mixture"] = {"outline_sha256": outline(store, mixtures, spec), "video_ids": video_ids} | out[
            "by_mixture"
        ]
        return out

    def counting(self) -> dict[str, Any]:
        """Counts sounds among silent clips; epsilon is chosen on the validation split, never on the one reported."""
        asked = self._config.evaluation.counting
        silence = counting.magnitude_of_noise(asked.silence_dbfs, self._audio)
        most = int(self._config.mixing.sources)
        stores = {split: self._stores[split] for split in ("validation", self._split)}
        own = specs.mixture_list_spec(self._config, self._split)
        spec = counting.with_silent_clips(own, count=asked.mixtures, visible=asked.clips)
        lists = {
            split: named_list(self._config, self._workdir, store, spec, f"{split}_counting")
            for split, store in stores.items()
        }
        sounding = {split: np.array([sum(plan.gain > 0 for plan in m) for m in lists[split]]) for split in lists}
        video_ids = _video_ids(self._store, lists[self._split])
        out: dict[str, Any] = {
            "tuned_on": "validation",
            "method": self._methods.main,
            "silence_dbfs": asked.silence_dbfs,
            "definition": counting.DEFINITION,
            "by_mixture": {
                "outline_sha256": outline(self._store, lists[self._split], spec),
                "video_ids": video_ids,
                "sounding": sounding[self._split].tolist(),
            },
        }
        for mode in MODES:
            separator = self._methods.separator(self._methods.main, registry.count_step, mode=mode)
            left = {
                split: counting.what_is_left(
                    separator, self._batches(lists[split], f"counting by {mode}, {split}", stores[split])
                )
                for split in dict.fromkeys(("validation", self._split))
            }
            epsilon, curve = counting.choose_epsilon(
                left["validation"], sounding["validation"], epsilon_absolute=silence, most=most
            )
            ends = {"epsilon_relative": epsilon, "epsilon_absolute": silence}
            out[mode] = counting.count_results(left[self._split], sounding[self._split], video_ids, most=most, **ends)
            out[mode] |= {"curve": curve, "noise": []}
            for level in counting.NOISE_DBFS:
                quiet = self._batches(lists[self._split][:_NOISES], f"noise at {level:g} dBFS", self._store)
                noise = counting.noise_batches(quiet, self._audio, level_dbfs=level, seed=self._config.evaluation.seed)
                found = counting.counted(counting.what_is_left(separator, noise), **ends)
                counts = np.bincount(found, minlength=asked.clips + 1).tolist()
                out[mode]["noise"].append({"level_dbfs": level, "counted": counts})
        return out

    def localisation(self) -> tuple[list[dict[str, Any]], list[PlaceExample]]:
        """Looks for the player who sounds: alone in the picture, and beside one who is silent."""
        asked = self._config.evaluation.places
        store = self._stores["places"]
        own = specs.mixture_list_spec(self._config, "test")
        separator = self._methods.separator(self._methods.main, registry.place_step, steps=1, with_plus=False)
        out, examples = [], []
        for name, sources in (("one player", 1), ("two players", 2)):
            spec = MixtureListSpec(
                count=asked.mixtures,
                sources=sources,
                same_class=False,
                level_difference_db=0.0,
                floor_dbfs=own.floor_dbfs,
                level_dbfs=own.level_dbfs,
                seed=own.seed,
                sounding=(1,),
            )
            mixtures = named_list(self._config, self._workdir, store, spec, f"places_{sources}")
            batches = self._batches(mixtures, name, store, frames=FrameSpec(1, asked.frame_px))
            found = list(scenes.scenes(separator, batches))
            if not any(np.isfinite(scene.box).all() for scene in found):
                raise InputError(
                    f"{store.folder} has no boxes; its videos need them in a .json beside each, see docs/DATA.md"
                )
            out.append(scenes.localisation_results(name, found, _video_ids(store, mixtures)))
            out[-1]["by_mixture"]["outline_sha256"] = outline(store, mixtures, spec)
            examples += place_examples(found, _classes(store, mixtures), most=_PLACES_SHOWN)
        return out, examples

    def examples(self, out: dict[str, Any]) -> list[ReportExample]:
        """The best, median and worst mixtures, separated once more."""
        rows = out["mixtures"]
        nsdr = np.array([np.mean([np.nan if v is None else v for v in row["nsdr"]]) for row in rows])
        chosen = choose_examples(nsdr, self._config.evaluation.examples)
        mixtures = [self._own[index] for index, _ in chosen]
        if not mixtures:
            return []
        audio, axis = self._audio, registry.axis(self._config)
        return [
            report_example(mixture, rows[index], rank=rank, audio=audio, axis=axis, heat=heat)
            for (index, rank), mixture, heat in zip(
                chosen, self._separate(mixtures, self._store), self._heat_maps(mixtures), strict=True
            )
        ]

    def _heat_maps(self, mixtures: Mixtures) -> Iterator[np.ndarray | None]:
        """Where each source's own picture sounds, by the first step on the whole mixture (Eq. 7)."""
        if self._config.method != "mpnet":
            yield from [None] * len(mixtures)
            return
        separator = self._methods.separator(self._methods.main, registry.place_step, steps=1, with_plus=False)
        for batch in self._batches(mixtures, "heat maps", self._store):
            maps = scenes.maps_of_sources(separator, batch)
            yield from maps[batch["valid"]]

    def _separate(self, mixtures: Mixtures, store: RecordStore) -> Iterator[SeparatedMixture]:
        if not mixtures:
            return iter(())
        separators = dict(self._separators)
        main = separators.pop(self._methods.main)
        return separate_mixtures(main, self._read(mixtures, store), separators)

    @functools.cached_property
    def _separators(self) -> dict[str, Any]:
        return self._methods.separators()

    def _batches(
        self, mixtures: Mixtures, title: str, store: RecordStore, frames: FrameSpec | None = None
    ) -> Iterator[Batch]:
        """Batches with a bar that says how far they are."""
        with _progress(len(mixtures), title) as bar:
            for batch in self._read(mixtures, store, frames):
                yield batch
                bar.update(int(batch["valid"].sum()))

    def _read(self, mixtures: Mixtures, store: RecordStore, frames: FrameSpec | None = None) -> Iterator[Batch]:
        return evaluation_batches(
            store,
            mixtures,
            audio=self._audio,
            frames=frames or specs.frame_spec(self._config),
            batch_size=self._config.evaluation.batch_size,
        )


def _video_ids(store: RecordStore, mixtures: Mixtures) -> list[list[str]]:
    return [[store.clips[plan.clip].video_id for plan in mixture] for mixture in mixtures]


def _classes(store: RecordStore, mixtures: Mixtures) -> list[list[str]]:
    return [[store.classes[store.clips[plan.clip].label] for plan in mixture] for mixture in mixtures]


def _progress(total: int, title: str, *, done: int = 0) -> "tqdm.tqdm[Any]":
    interval = 1 if sys.stderr.isatty() else 15
    return tqdm.tqdm(total=total, initial=done, unit="mixture", desc=title, mininterval=interval)
