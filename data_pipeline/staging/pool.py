"""Stages videos on all cores; an interrupted run resumes."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from absl import logging

from data_pipeline.command import InputError
from data_pipeline.sources import Video
from data_pipeline.staging import staged_video
from data_pipeline.staging.cutting import CutSpec
from data_pipeline.staging.progress import progress_bar
from data_pipeline.staging.staged_video import Facts

# More decoder threads than this hardly help, and each needs the memory of a frame.
_MOST_THREADS = 8


def stage_all(videos: Sequence[Video], cut: CutSpec, stage: Path, workers: int) -> list[Facts]:
    """Decodes the videos that are not staged yet.

    Args:
        videos: All videos.
        cut: How to cut them.
        stage: Existing folder of staged videos.
        workers: Number of processes that decode; 1 decodes in this process.

    Returns:
        Facts of every video, in the order of `videos`.

    Raises:
        InputError: A worker process was killed.
        OSError: A staged file cannot be written.
    """
    staged_video.busy_videos(stage)  # removes the marks of an earlier run
    done = {video.id: facts for video in videos if (facts := staged_video.staged_facts(video, stage)) is not None}
    todo = [video for video in videos if video.id not in done]
    if done:
        logging.info("%d of %d videos are staged already", len(done), len(videos))
    with progress_bar(len(todo)) as progress:
        for facts in _staged(todo, cut, stage, workers):
            done[facts.video_id] = facts
            if facts.reason is not None:
                logging.info("skipped: %s", facts.message)
            progress.update()
    return [done[video.id] for video in videos]


def _staged(todo: Sequence[Video], cut: CutSpec, stage: Path, workers: int) -> Iterator[Facts]:
    # With fewer videos than workers, each decoder gets several threads.
    threads = min(max(workers // max(len(todo), 1), 1), _MOST_THREADS)
    workers = min(workers, len(todo))
    if workers <= 1:
        yield from (staged_video.stage_video(video, cut, stage, threads) for video in todo)
        return
    # Long videos first, so that all workers finish at about the same time.
    todo = sorted(todo, key=file_bytes, reverse=True)
    # Spawned, because a fork of a process with threads (of TensorFlow, of a progress bar) may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _follow_parent) as pool:
        futures = [pool.submit(staged_video.stage_video, video, cut, stage, threads) for video in todo]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, which often means too little memory, while these were in work: "
                f"{', '.join(staged_video.busy_videos(stage))}; the same command resumes where this one stopped, "
                f"with --workers={max(1, workers // 2)} in less memory"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def file_bytes(video: Video) -> int:
    """Returns the size of a video's file, or 0 when it cannot be read."""
    try:
        return video.path.stat().st_size
    except OSError:
        return 0  # decoding reports the error


def _follow_parent() -> None:
    """Makes a worker finish its video after Ctrl-C, and exit when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process; the parent handles it
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
