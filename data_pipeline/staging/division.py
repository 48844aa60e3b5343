"""Assigns the videos of a set to splits as the user's flags say."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.staging import splits
from data_pipeline.staging.splits import ListedSplits
from data_pipeline.staging.staged_video import Facts


@dataclasses.dataclass(frozen=True)
class Division:
    """The user's choices about splits; by default each class is divided 11:2:3.

    Attributes:
        split: The one split that all videos go to.
        file: File that says which video goes to which split.
        by_list: Whether each list of the source is the split that its name says.
        protocol: Proportions of the splits, one of `splits.PROTOCOLS`.
        group: Regular expression whose first group names the original of a video; videos of one original share a split.

    Raises:
        InputError: Two choices contradict each other, the protocol is unknown, or the file does not exist.
    """

    split: str = ""
    file: Path | None = None
    by_list: bool = False
    protocol: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        asked = {
            "--split": self.split,
            "--split_file": self.file,
            "--split_by_list": self.by_list,
            "--protocol": self.protocol,
        }
        ways = [name for name, value in asked.items() if value]
        if len(ways) > 1:
            raise InputError(f"{' and '.join(ways)} both say how videos are divided; give one")
        if self.file is not None and not self.file.is_file():
            raise InputError(f"--split_file={self.file} is no file; give one that says which video goes to which split")
        if self.protocol and self.protocol not in splits.PROTOCOLS:
            raise InputError(f"--protocol={self.protocol} is unknown; use one of {', '.join(splits.PROTOCOLS)}")

    @property
    def recorded(self) -> str:
        """One line that is equal for equal divisions; "" for the default."""
        said = [
            self.split,
            f"file {hashlib.sha256(self.file.read_bytes()).hexdigest()}" if self.file else "",
            "by list" if self.by_list else "",
            f"protocol {self.protocol}" if self.protocol else "",
            f"group {self.group}" if self.group else "",
        ]
        return ", ".join(filter(None, said))

    def divide(self, facts: Sequence[Facts], listed_in: Mapping[str, Path]) -> ListedSplits:
        """Assigns the usable videos to splits.

        Videos of one original, and videos with identical audio, always share a split.

        Args:
            facts: Facts of the usable videos.
            listed_in: Id -> list that names it.

        Returns:
            Id -> split, the videos that the split file does not name, and ids in the file without a video.

        Raises:
            InputError: The file, pattern or a list is invalid, or the splits separate a group.
        """
        ids = [fact.video_id for fact in facts]
        labels = {fact.video_id: fact.label for fact in facts}
        if self.split:
            return ListedSplits(dict.fromkeys(ids, self.split), {}, ())
        groups = self._groups(facts)
        if self.file is None and not self.by_list:
            parts = splits.PROTOCOLS[self.protocol or "default"]
            return ListedSplits(splits.assign_splits(ids, labels, parts, groups), {}, ())
        if self.file is not None:
            listed = splits.read_split_file(self.file)
        elif listed_in:
            listed = splits.splits_by_list(listed_in)
        else:
            raise InputError("--split_by_list needs lists that stand for splits, as --source=index_csv has; drop it")
        found = splits.splits_from_file(ids, labels, listed)
        splits.check_leakage(found.splits, groups)
        return found

    def _groups(self, facts: Sequence[Facts]) -> dict[str, str]:
        """Returns id -> name of its group: videos of one original, or with identical audio."""
        ids = [fact.video_id for fact in facts]
        groups = splits.groups_by(self.group, ids) if self.group else {video_id: video_id for video_id in ids}
        heard: dict[str, str] = {}
        for fact in facts:
            group = groups[fact.video_id]
            first = heard.setdefault(fact.sound_digest, group)
            if first != group:  # merge the two groups
                groups = {video_id: first if name == group else name for video_id, name in groups.items()}
        return groups
