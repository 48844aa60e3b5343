"""Lists videos in a folder: the first-level sub-folder names the class."""

from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, Skipped, Video, files, video_files
from data_pipeline.sources.files import UNLABELLED

# Reasons that concern videos, whose class is therefore recorded; the other reasons concern other files.
_LOST = (files.BROKEN_LINK, files.LINK_OUT, files.NOT_A_FILE, files.NOT_READABLE)


def find_videos(place: Place) -> Listing:
    """Lists the videos below a folder, at any depth.

    Args:
        place: The folder. `folder/violin/a.mp4` has the id "violin/a" and the class "violin"; `folder/b.mp4` has the id
            "b" and the class "unlabelled", unless one label is given for all. A JSON file with the video's name in the
            same folder may hold the player's boxes.

    Returns:
        The videos, and as skipped all other files below the folder; see `files.find_files`.

    Raises:
        InputError: The folder does not exist, cannot be read, or holds no video.
    """
    folder = place.videos
    root = files.require_folder(folder)
    videos: dict[str, Video] = {}
    skipped: dict[str, Skipped] = {}
    for path in files.find_files(folder, skipped):
        video_id = files.relative_name(path.with_name(video_files.stem(path.name)), folder)
        label = _label(files.relative_name(path, folder), place)
        files.add_video(videos, Video(video_id, path, label, files.boxes_beside(path, root)), skipped, folder)
    if not videos:
        raise InputError(
            f"--videos={files.safe_name(str(folder))} holds no videos; give a folder of files that FFmpeg "
            "reads, such as violin/a.mp4"
        )
    for name, entry in skipped.items():
        if entry.reason in _LOST and "/" in name:
            skipped[name] = entry._replace(label=_label(name, place))
    return Listing(files.in_order(videos), skipped)


def _label(name: str, place: Place) -> str:
    return place.label or (files.class_name(name.split("/")[0]) if "/" in name else UNLABELLED)
