"""What the TFDS builders of `tfds_sets` have in common: videos come from a source, and a config says how they are cut.

Configs are "paper", "quickstart", or any other as `--config='{"name": "mine", "rate_hz": 22050, "frame_px": 128}'`; the
name becomes a folder of the set: `data/music/mine/1.0.0`, which the loader calls "music/mine".
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from data_pipeline.builders.video_chunks import DESCRIPTION, ChunkBuilder, full_disk_named
from data_pipeline.command import InputError
from data_pipeline.records import index_file
from data_pipeline.sources import Listing
from data_pipeline.staging import staged_set
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.division import Division
from data_pipeline.staging.pool import stage_all
from data_pipeline.staging.splits import SPLITS
from data_pipeline.staging.staged_set import StagedSet
from data_pipeline.staging.staged_video import Facts

import tensorflow_datasets as tfds  # isort: skip  (after video_chunks, which keeps TensorFlow from the GPU)
from tensorflow_datasets.core import constants  # isort: skip

_CUT_FIELDS = tuple(field.name for field in dataclasses.fields(CutSpec))
_CONFIG_NAME = re.compile(r"[A-Za-z][\w-]*")


@dataclasses.dataclass(eq=False, kw_only=True)
class CutConfig(tfds.core.BuilderConfig):
    """How a set is cut; the fields of `CutSpec`, and how it is made.

    Attributes:
        name: letters, digits, "_" and "-"; a folder of the set has this name.
        rate_hz: see `CutSpec`, as are the next five.
        fps: see there.
        frame_px: see there.
        chunk_seconds: see there.
        min_seconds: see there.
        silence_dbfs: see there.
        split: the one split that all videos go to; "" divides them.
        protocol: proportions of the splits, one of `splits.PROTOCOLS`; "" for the default.
        workers: processes that decode; 0 is one for each core.

    Raises:
        InputError: a value that cannot be used.
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
        for name in (*_CUT_FIELDS, "workers"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"{name}={value!r} of config {self.name!r} must be a number")
        if self.split not in ("", *SPLITS):
            raise InputError(f"split={self.split!r} of config {self.name!r} is unknown; use one of {', '.join(SPLITS)}")
        Division(split=self.split, protocol=self.protocol)  # refuses what it does not know
        if self.workers < 0:
            raise InputError(f"workers={self.workers} of config {self.name!r} must be 1 or more, or 0 for all cores")
        cut = self.cut  # refuses values that make no record
        self.description = self.description or (
            f"{cut.rate_hz} samples and {cut.fps:g} pictures a second, {cut.frame_px} px on the shorter side."
        )

    @property
    def cut(self) -> CutSpec:
        """How videos are cut into records."""
        return CutSpec(**{name: getattr(self, name) for name in _CUT_FIELDS})


@dataclasses.dataclass(eq=False, kw_only=True)
class LabelledConfig(CutConfig):
    """A cut with the names of the classes, for sources whose classes are the user's.

    Attributes:
        classes: names of the labels, in the order of their numbers; TFDS wants them before it sees the videos.
    """

    classes: Sequence[str] = ("unlabelled",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.classes, str) or not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes={self.classes!r} of config {self.name!r} must be a list of different names")


def paper_and_quickstart(config: type[CutConfig], protocol: str = "") -> list[CutConfig]:
    """The predefined cuts: the paper's, with its proportions of the splits, and the one that the quickstart takes."""
    return [config(name="paper", rate_hz=16000, frame_px=246, protocol=protocol), config(name="quickstart")]


class About(NamedTuple):
    """What a set says of itself, as fields of `DatasetInfo`.

    Attributes:
        description: in a sentence or two.
        homepage: where it comes from.
        citation: BibTeX.
    """

    description: str = DESCRIPTION
    homepage: str | None = None
    citation: str | None = None


class SourceSet(ChunkBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """Chunks of the videos that a source finds in `--manual_dir`.

    Videos are staged on all cores, in a folder beside the set that outlives a killed build; TFDS writes the set beside
    its place and moves it there as a whole, with the index that `records.RecordStore` reads.

    Attributes:
        SOURCE: name of the source, recorded with the set.
        CLASSES: names of the labels; () where the config gives them.
        ABOUT: what the set says of itself.
    """

    SOURCE: ClassVar[str]
    CLASSES: ClassVar[tuple[str, ...]] = ()
    ABOUT: ClassVar[About] = About()
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig)

    # What `_split_generators` opens is closed by `download_and_prepare`, when the set is in its place.
    _open: contextlib.ExitStack
    _staged: StagedSet | None = None
    _beam: dict[str, Any] | None = None

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists the videos; a subclass asks its source."""
        raise NotImplementedError

    def division(self, listing: Listing) -> Division:
        """How the videos are divided."""
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
        """What makes staged videos usable for this set."""
        return {"source": self.SOURCE, **dataclasses.asdict(self.cut_config.cut)}

    def download_and_prepare(self, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Makes the set, unless it is there; see `DatasetBuilder.download_and_prepare`.

        Raises:
            InputError: no usable videos, or another process is at work on this set.
            OSError: the disk is full.
        """
        with full_disk_named(Path(self.data_dir_root)), contextlib.ExitStack() as self._open:
            super().download_and_prepare(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        division = Division(split=self.cut_config.split, protocol=self.cut_config.protocol).recorded
        recorded = {**self.parameters, "split": division, "classes": list(self.classes)}
        self._require_same(recorded)
        return self._chunk_info(self.classes, recorded, **self.ABOUT._asdict())

    def _require_same(self, recorded: Mapping[str, Any]) -> None:
        """Refuses a set of that name that was made otherwise; TFDS would take it without a word."""
        try:
            there = json.loads((Path(self.data_dir) / "metadata.json").read_text())
        except (OSError, ValueError):
            return  # none, or damaged: then TFDS has a word to say
        for key, value in recorded.items():
            if there.get(key) != value:
                raise InputError(
                    f"{self.data_dir} is there already and was made with {key}={there.get(key)}, not {value}; choose "
                    "another name for the config, or remove that folder"
                )

    def _download_and_prepare(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> None:
        if download_config.beam_runner or download_config.beam_options:
            self._beam = {"runner": download_config.beam_runner, "options": download_config.beam_options}
        super()._download_and_prepare(dl_manager, download_config)
        # TFDS works in a folder of another name until this returns, so these are there with the set or not at all.
        folder = Path(self.data_dir)
        if self.info.file_format is tfds.core.FileFormat.TFRECORD:
            for split, info in self.info.splits.items():
                paths = [Path(path) for path in info.filepaths]
                index_file.write_index(folder, split, paths, index_file.scan(paths))
        if self._staged is not None:
            self._staged.write_account(folder, self.parameters)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        try:
            manual_dir = Path(dl_manager.manual_dir)
        except AssertionError as error:  # TFDS's word for a missing or empty folder, with the instructions
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
        self._remove_incomplete()  # nobody else writes there, now that the staging folder is ours
        self._staged = staged = staged_set.deal(
            self._stage(listing, stage),
            listing,
            stage,
            division=self.division(listing),
            root=manual_dir,
        )
        metadata = self.info.metadata
        assert isinstance(metadata, dict)
        metadata.update(videos_fingerprint=staged_set.fingerprint(listing.videos), skipped=staged.skipped_counts)
        return {split: self._generate_examples(staged, split) for split in staged.split_names}

    def _remove_incomplete(self) -> None:
        """Removes the folders of this set that killed builds left; TFDS gives every build a folder of its own."""
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

    def _generate_examples(self, staged: StagedSet, split: str) -> Any:
        if self._beam is None:
            return staged.examples(split)
        from data_pipeline.builders import beam_staging

        return beam_staging.examples(staged, split)

    def _require_known_classes(self, listing: Listing) -> None:
        found = {video.label for video in listing.videos}
        if strange := sorted(found - set(self.classes)):
            way_out = (
                "remove or rename those folders"
                if self.CLASSES
                else "give --config='" + json.dumps({"name": "mine", "classes": sorted(found)}) + "'"
            )
            raise InputError(
                f"videos of the class {', '.join(strange)} are there, and the classes of {self.info.full_name} are "
                f"{', '.join(self.classes)}; {way_out}"
            )
