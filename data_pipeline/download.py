"""Downloads the videos of id lists such as MUSIC's with an installed yt-dlp, as far as they still exist.

    python -m data_pipeline.download --list=MUSIC_solo_videos.json --out=videos

Videos become OUT/<class>/<id>.mp4; OUT/download.json records which are done, gone or failed. An interrupted run
resumes. The next run tries failed videos again, and gone ones only after their entry is removed from the record. Gone
are only videos that were deleted or made private, or whose account was closed. After ten failures in a row the command
stops with exit status 1, since the network or yt-dlp may be the cause. Many listed videos no longer exist, which makes
the data set smaller: `prepare` counts the missing ones.

Whether you may download and use these videos depends on the platform's terms, the videos' licences and your country's
law; you are responsible for it. This project distributes no videos.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags, logging

from data_pipeline import command
from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.foreign_text import as_path, read_json
from data_pipeline.sources import video_files
from data_pipeline.sources.files import shortened
from data_pipeline.sources.music_list import read_labels

RECORD_NAME = "download.json"
STATES = ("done", "gone", "failed")
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
# What yt-dlp passes on from YouTube about a video that was deleted, made private or lost its account. Everything else
# may end: "Video unavailable" alone, for example, is also the answer to networks with a restricted mode and to old
# clients.
_GONE = re.compile(
    r"ERROR: (\[youtube[^]]*\] )?([\w-]{11}: )?(Video unavailable\. )?"
    r"(Private video\b|This video is private\b|This video has been removed\b"
    r"|This video is no longer available (because the (uploader has closed|YouTube account associated with)"
    r"|due to a copyright claim)|The (YouTube )?account associated with this video has been terminated\b)",
)
_FAILURES_IN_A_ROW = 10
_LONGEST_SECONDS = 3600
_PARTIAL = ".partial"
# Records without a version were written when more messages counted as final; their gone videos are tried once more.
_RECORD_VERSION = 2


@dataclass(frozen=True)
class Options:
    """What to download, and how politely.

    Attributes:
        lists: JSON files of ids by class.
        out: Folder of the videos.
        cookies: File from which yt-dlp reads cookies, or None.
        sleep_seconds: Pause between two videos.
        limit: Largest number of videos to try in this run; 0 for all.
        max_height: Largest number of rows of a frame.

    Raises:
        InputError: A value is invalid.
    """

    lists: tuple[Path, ...]
    out: Path
    cookies: Path | None = None
    sleep_seconds: float = 5.0
    limit: int = 0
    max_height: int = 480

    def __post_init__(self) -> None:
        if not self.lists:
            raise InputError("--list= names no file; give one such as MUSIC_solo_videos.json")
        if self.cookies is not None and not self.cookies.is_file():
            raise InputError(f"--cookies={self.cookies} is not a file; export one from your browser, or leave it out")
        if not 0 <= self.sleep_seconds <= _LONGEST_SECONDS:
            raise InputError(f"--sleep_seconds={self.sleep_seconds:g} must be 0 to {_LONGEST_SECONDS}; try 5")
        if self.limit < 0:
            raise InputError(f"--limit={self.limit} must be 0 (all) or larger")
        if self.max_height < 1:
            raise InputError(f"--max_height={self.max_height} must be at least 1; try 480")


def download(options: Options) -> tuple[str, bool]:
    """Downloads the listed videos that do not exist yet.

    Returns:
        (counts by class as a table, whether all videos were tried that should be); the latter is False after too many
        failures in a row.

    Raises:
        InputError: yt-dlp is missing, a list is invalid, or another run uses the folder.
    """
    program = _find_program()
    labels, _ = read_labels(options.lists)
    _check(labels)
    with _folder_for_this_run(options.out):
        record = _read_record(options.out / RECORD_NAME)
        there = {label: _videos(options.out / as_path(label)) for label in set(labels.values())}
        existing = {video_id for video_id, label in labels.items() if video_id in there[label]}
        for video_id in existing:
            record[video_id] = {"state": "done", "class": labels[video_id]}
        for video_id in labels.keys() - existing:
            if record.get(video_id, {}).get("state") == "done":
                del record[video_id]  # downloaded earlier and removed since
        todo = [name for name in labels if name not in existing and record.get(name, {}).get("state") != "gone"]
        # Videos that were never tried come first, then those whose last try was longest ago, so that videos which fail
        # every time do not keep the others from being tried.
        tried = {name: place for place, name in enumerate(record)}
        todo = sorted(todo, key=lambda name: tried.get(name, -1))[: options.limit or None]
        logging.info("%d of %d videos are there, %d to try", len(existing), len(labels), len(todo))
        finished = _fetch_all(program, options, {video_id: labels[video_id] for video_id in todo}, record)
        return _as_text(labels, record), finished


def _find_program() -> str:
    program = shutil.which("yt-dlp")
    if program is None:
        raise InputError("yt-dlp is not installed; install it with `pip install yt-dlp` and run the same command again")
    if shutil.which("ffmpeg") is None:
        logging.warning("ffmpeg is not installed, so only videos that come with their sound in one file are taken")
    return os.path.abspath(program)  # absolute, because it runs in another folder


def _check(labels: Mapping[str, str]) -> None:
    """Raises an error for ids and classes that are unsafe as parts of command lines and paths."""
    odd = [video_id for video_id in labels if not _ID.fullmatch(video_id)]
    if odd:
        raise InputError(
            f"{shortened([repr(name) for name in odd])} cannot be YouTube ids (11 of A-Z a-z 0-9 _ -); fix the list"
        )
    for label in labels.values():
        if label.startswith((".", "-")) or re.search(r"[/\\\x00-\x1f]", label):
            raise InputError(f"class {label!r} cannot be a folder's name; rename it in the list")


@contextmanager
def _folder_for_this_run(out: Path) -> Iterator[None]:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out={out} is not a folder; choose another")
    (out / _PARTIAL).mkdir(parents=True, exist_ok=True)
    with (out / _PARTIAL / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run downloads to --out={out}; wait for it or choose another folder") from None
        yield
        os.unlink(lock.name)
    with suppress(OSError):  # not empty: partial videos that another run may resume
        (out / _PARTIAL).rmdir()


def _read_record(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not all(isinstance(entry, dict) for entry in videos.values()):
        raise InputError(f"{path} is no record of a download; remove it (existing videos are kept)")
    if "version" not in content:
        for entry in videos.values():
            if entry.get("state") == "gone":
                entry["state"] = "failed"
    return videos


def _fetch_all(program: str, options: Options, todo: Mapping[str, str], record: dict[str, dict[str, Any]]) -> bool:
    """Tries the videos and records each outcome; returns False when it stopped early."""
    start_s, failures = time.monotonic(), 0
    for done, (video_id, label) in enumerate(todo.items()):
        if done:
            time.sleep(options.sleep_seconds)
        state, message = _fetch(program, options, video_id, label)
        record.pop(video_id, None)  # entries are in the order of the last tries
        record[video_id] = {"state": state, "class": label} | ({"message": message} if message else {})
        _write_record(options.out / RECORD_NAME, record)
        left_s = (time.monotonic() - start_s) / (done + 1) * (len(todo) - done - 1)
        logging.info("%d of %d: %s/%s %s, about %s left", done + 1, len(todo), label, video_id, state, _clock(left_s))
        failures = failures + 1 if state == "failed" else 0
        if failures == _FAILURES_IN_A_ROW:
            logging.warning(
                "stopped, since %d videos in a row failed, the last with: %s; wait a while, update yt-dlp, use another "
                "network or give --cookies, then run the same command again",
                failures,
                message,
            )
            return False
    _write_record(options.out / RECORD_NAME, record)
    return True


def _fetch(program: str, options: Options, video_id: str, label: str) -> tuple[str, str]:
    """Downloads one video; returns (state, reason for which it is missing)."""
    partial = options.out / _PARTIAL
    for path in _videos(partial).get(video_id, []):
        path.unlink()  # may be incomplete; the files that yt-dlp can resume have other names
    # No path is on the command line, where yt-dlp would expand "%" and "$" in it.
    arguments = [program, "--ignore-config", "--no-playlist", "--quiet", "--no-progress", "--socket-timeout=30"]
    arguments += ["--output", "%(id)s.%(ext)s", *_quality(options.max_height)]
    if options.cookies is not None:
        arguments += ["--cookies", str(options.cookies.absolute())]
    arguments += ["--", f"https://www.youtube.com/watch?v={video_id}"]
    try:
        # No shell is involved, and the id was checked.
        result = subprocess.run(  # noqa: S603
            arguments,
            cwd=partial,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "failed", f"took longer than {_LONGEST_SECONDS} s"
    found = _videos(partial).get(video_id, [])
    if result.returncode == 0 and found:
        folder = options.out / as_path(label)
        folder.mkdir(exist_ok=True)
        os.replace(found[0], folder / found[0].name)
        return "done", ""
    message = _last_line(result.stderr) or f"yt-dlp ended with status {result.returncode} and left no video"
    return ("gone" if _GONE.match(message) else "failed"), message


def _quality(max_height: int) -> list[str]:
    """Returns arguments that prefer formats without conversion; joining separate video and audio needs ffmpeg."""
    single = f"b[height<={max_height}][ext=mp4]/b[height<={max_height}]"
    if shutil.which("ffmpeg") is None:
        return ["--format", single]
    formats = f"bv*[height<={max_height}][ext=mp4]+ba[ext=m4a]/{single}/bv*[height<={max_height}]+ba"
    return ["--format", formats, "--merge-output-format", "mp4", "--remux-video", "mp4"]


def _videos(folder: Path) -> dict[str, list[Path]]:
    """Returns the videos of a folder by name without suffix."""
    found: dict[str, list[Path]] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file() and video_files.is_video(path):
                found.setdefault(path.stem if path.suffix else path.name, []).append(path)
    return found


def _last_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [""])[-1]


def _write_record(path: Path, record: Mapping[str, dict[str, Any]]) -> None:
    write_atomically(path, json.dumps({"version": _RECORD_VERSION, "videos": record}, indent=2) + "\n")


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _as_text(labels: Mapping[str, str], record: Mapping[str, dict[str, Any]]) -> str:
    columns = (*STATES, "not tried")
    counts = Counter((label, record.get(video_id, {}).get("state", "not tried")) for video_id, label in labels.items())
    classes = list(dict.fromkeys(labels.values()))
    width = max(len("all videos"), *map(len, classes))
    lines = [f"{'class':<{width}}" + "".join(f"{name:>12}" for name in columns)]
    lines += [f"{label:<{width}}" + "".join(f"{counts[label, name]:>12}" for name in columns) for label in classes]
    total = [sum(counts[label, name] for label in classes) for name in columns]
    lines.append(f"{'all videos':<{width}}" + "".join(f"{count:>12}" for count in total))
    return "\n".join(lines) + "\n"


def _define_flags() -> None:
    command.define_paths("list", None, "JSON files of YouTube ids by class, separated by commas.", required=True)
    command.define_path("out", None, "Folder of the videos; created or resumed.", required=True)
    command.define_path("cookies", None, "File of cookies for yt-dlp, for videos that require signing in.")
    flags.DEFINE_float("sleep_seconds", Options.sleep_seconds, "Pause between two videos.")
    flags.DEFINE_integer("limit", Options.limit, "Largest number of videos to try in this run; 0 for all.")
    flags.DEFINE_integer("max_height", Options.max_height, "Largest number of rows of a frame.")


def main() -> None:
    """Runs the command with absl's flags."""
    values = flags.FLAGS
    options = Options(
        lists=tuple(values.list),
        out=values.out,
        cookies=values.cookies,
        sleep_seconds=values.sleep_seconds,
        limit=values.limit,
        max_height=values.max_height,
    )
    table, finished = download(options)
    sys.stdout.write(table)
    if not finished:
        sys.exit(1)


if __name__ == "__main__":
    _define_flags()
    command.run(main)
