"""The base of the TFDS builders in `tfds_sets`: a source lists the videos, and a config says how they are cut.

Configs are "paper", "quickstart", or any other as `--config='{"name": "mine", "rate_hz": 22050, "frame_px": 128}'`; the
name becomes a folder of the set: `data/music/mine/1.0.0`, which the loader calls "music/mine".
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from data_pipeline.builders.video_chunks import CUT_FIELDS, ChunkBuilder
from data_pipeline.command import InputError
from data_pipeline.prepare import SOURCES
from data_pipeline.sources import Listing, Place
from data_pipeline.staging import staged_set
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division
from data_pipeline.staging.pool import stage_all
from data_pipeline.staging.splits import SPLITS
from data_pipeline.staging.staged_video import Facts

import tensorflow_datasets as tfds  # isort: skip  (after video_chunks, which keeps TensorFlow from the GPU)
from tensorflow_datasets.core import constants  # isort: skip

_CONFIG_NAME = re.compile(r"[A-Za-z][\w-]*")


@dataclasses.dataclass(eq=False, kw_only=True)
class CutConfig(tfds.core.BuilderConfig):
    """The fields of `CutSpec`, and how the set is prepared.

    Attributes:
        name: Letters, digits, "_" and "-"; a folder of the set has this name.
        rate_hz: See `CutSpec`.
        fps: See `CutSpec`.
        frame_px: See `CutSpec`.
        chunk_seconds: See `CutSpec`.
        min_seconds: See `CutSpec`.
        silence_dbfs: See `CutSpec`.
        split: The one split that all videos go to; "" assigns them to all splits.
        protocol: Proportions of the splits, one of `splits.PROTOCOLS`; "" for the default.
        workers: Processes that decode; 0 for one per core.

    Raises:
        InputError: A value is invalid.
    """

    rate_hz: int = CutSpec.rate_hz
    fps: float = CutSpec.fps
    frame_px: int = CutSpec.frame_px
    chunk_seconds: float = CutSpec.chunk_seconds
    min_seconds: float = CutSpec.min_seconds
    silence_dbfs: float = CutSpec.silence_dbfs
    split: str = ""
    protocol: str = ""
    workers: int = 0

    def __post_init__(self) -> None:
        if not _CONFIG_NAME.fullmatch(self.name):
            raise InputError(f"config name {self.name!r} must be letters, digits, '_' and '-', a letter first")
        for name in (*CUT_FIELDS, "workers"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"{name}={value!r} of config {self.name!r} must be a number")
        if self.split not in ("", *SPLITS):
            raise InputError(f"split={self.split!r} of config {self.name!r} is unknown; use one of {', '.join(SPLITS)}")
        Division(split=self.split, protocol=self.protocol)  # raises for an unknown protocol
        if self.workers < 0:
            raise InputError(f"workers={self.workers} of config {self.name!r} must be 1 or more, or 0 for all cores")
        cut = self.cut  # raises for invalid values
        self.description = self.description or (
            f"{cut.rate_hz} samples and {cut.fps:g} pictures a second, {cut.frame_px} px on the shorter side."
        )

    @property
    def cut(self) -> CutSpec:
        """How videos are cut into records."""
        return CutSpec(**{name: getattr(self, name) for name in CUT_FIELDS})


@dataclasses.dataclass(eq=False, kw_only=True)
class LabelledConfig(CutConfig):
    """A cut with the names of the classes, for sources that do not define the classes.

    Attributes:
        classes: Names of the labels, in the order of their numbers; TFDS needs them before the videos are listed.
    """

    classes: Sequence[str] = ("unlabelled",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.classes, str) or not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes={self.classes!r} of config {self.name!r} must be a list of different names")


def paper_and_quickstart(config: type[CutConfig], protocol: str = "") -> list[CutConfig]:
    """Returns the predefined configs: that of the paper, with its proportions of the splits, and the quickstart's."""
    return [config(name="paper", rate_hz=16000, frame_px=246, protocol=protocol), config(name="quickstart")]


class SourceSet(ChunkBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """Chunks of the videos that a source finds in `--manual_dir`.

    Videos are decoded on all cores into a staging folder, which survives a killed build.

    Attributes:
        SOURCE: Name of the source, recorded with the set.
        CLASSES: Names of the labels; () where the config gives them.
    """

    SOURCE: ClassVar[str]
    CLASSES: ClassVar[tuple[str, ...]] = ()
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig)

    # What `_split_generators` opens is closed by `download_and_prepare` when the set is complete.
    _open: contextlib.ExitStack
    _beam: dict[str, Any] | None = None

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists the videos."""
        return SOURCES[self.SOURCE](Place(manual_dir))

    def division(self, listing: Listing) -> Division:
        """Returns how the videos are assigned to splits."""
        del listing
        return Division(split=self.cut_config.split, protocol=self.cut_config.protocol)

    @property
    def cut_config(self) -> CutConfig:
        """The config."""
        assert isinstance(self.builder_config, CutConfig)
        return self.builder_config

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        config = self.builder_config
        return tuple(config.classes) if isinstance(config, LabelledConfig) else self.CLASSES

    @property
    def parameters(self) -> dict[str, Any]:
        """Values that must be equal for staged videos to be used again."""
        return {"source": self.SOURCE, **dataclasses.asdict(self.cut_config.cut)}

    def download_and_prepare(self, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Writes the set unless it exists; see `DatasetBuilder.download_and_prepare`.

        Raises:
            InputError: No usable videos, or another process is preparing this set.
            OSError: The disk is full.
        """
        with contextlib.ExitStack() as self._open:
            super().download_and_prepare(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        division = Division(split=self.cut_config.split, protocol=self.cut_config.protocol).recorded
        recorded = {**self.parameters, "split": division, "classes": list(self.classes)}
        set_dir = Path(self.data_dir)
        if (set_dir / staged_set.METADATA_FILE).exists():  # TFDS would take a set with other parameters silently
            staged_set.require_same(set_dir, recorded, "choose another name for the config, or remove that folder")
        return self._chunk_info(self.classes, recorded)

    def _download_and_prepare(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> None:
        if download_config.beam_runner or download_config.beam_options:
            self._beam = {"runner": download_config.beam_runner, "options": download_config.beam_options}
        super()._download_and_prepare(dl_manager, download_config)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        try:
            manual_dir = Path(dl_manager.manual_dir)
        except AssertionError as error:  # TFDS's error for a missing or empty folder, with the instructions
            raise InputError(str(error)) from None
        listing = self.find_videos(manual_dir)
        self._require_known_classes(listing)
        root = Path(self.data_dir_root)
        stage = self._open.enter_context(
            staged_set.staging_folder(
                root / staged_set.STAGING / f"{self.name}-{self.builder_config_name}",
                root / self.info.full_name,
                self.parameters,
            )
        )
        self._remove_incomplete()  # the staging folder is locked, so no other process writes there
        facts, division = self._stage(listing, stage), self.division(listing)
        self.staged = staged_set.deal(facts, listing, stage, division=division, root=manual_dir)
        metadata = self.info.metadata
        assert isinstance(metadata, dict)
        metadata.update(videos_fingerprint=staged_set.fingerprint(listing.videos), skipped=self.staged.skipped_counts)
        return super()._split_generators(dl_manager)

    def _remove_incomplete(self) -> None:
        """Removes the temporary folders of this set that killed builds left; TFDS gives every build its own."""
        ours = Path(self.data_dir)
        for folder in ours.parent.glob(f"{constants.INCOMPLETE_PREFIX}*_{self.version}"):
            if folder != ours:
                shutil.rmtree(folder)

    def _stage(self, listing: Listing, stage: Path) -> list[Facts]:
        config = self.cut_config
        if self._beam is None:
            return stage_all(listing.videos, config.cut, stage, config.workers or os.cpu_count() or 1)
        from data_pipeline.builders import beam_staging

        return beam_staging.stage_all(listing.videos, config.cut, stage, **self._beam)

    def _generate_examples(self, split: str) -> Any:
        if self._beam is None:
            return super()._generate_examples(split)
        from data_pipeline.builders import beam_staging

        assert self.staged is not None
        return beam_staging.examples(self.staged, split)

    def _require_known_classes(self, listing: Listing) -> None:
        found = {video.label for video in listing.videos}
        if strange := sorted(found - set(self.classes)):
            remedy = (
                "remove or rename those folders"
                if self.CLASSES
                else "give --config='" + json.dumps({"name": "mine", "classes": sorted(found)}) + "'"
            )
            raise InputError(
                f"videos of the class {', '.join(strange)} are there, and the classes of {self.info.full_name} are "
                f"{', '.join(self.classes)}; {remedy}"
            )
