"""Remarks on the irregularities of a separated video."""

from collections.abc import Iterator

from data_pipeline.media.reader import MediaInfo, Trace

_NOTABLE_S = 0.5  # Smaller differences between the times of sound and pictures give no remark.


def remarks(
    header: MediaInfo, *, sound: Trace, pictures: Trace, seconds: float, windows: int, sounds: int
) -> list[str]:
    """Returns remarks on a separated video for the user, one sentence each.

    Args:
        header: Header of the video.
        sound: Irregularities of the decoded sound.
        pictures: Irregularities of the decoded pictures.
        seconds: Duration of the recording.
        windows: Number of windows.
        sounds: Number of sounds that were found.
    """
    sentences = []
    if not sounds:
        sentences.append("No sound was found: the recording is silent, or no sound matches anything in the pictures.")
    for name, count in zip(("pictures", "sound"), header.streams, strict=True):
        if count > 1:
            sentences.append(
                f"The file has {count} tracks of {name}; the first that can be decoded was taken, no other."
            )
    for name, trace in (("sound", sound), ("picture", pictures)):
        if trace.broken_packets:
            sentences.append(f"{trace.broken_packets} packets of the {name} cannot be decoded and were skipped.")
    sentences += _remarks_on_time(header, sound, pictures, seconds)
    if windows == 1:
        sentences.append("The recording is no longer than one window of the network; silence was added after it.")
    return sentences


def _remarks_on_time(header: MediaInfo, sound: Trace, pictures: Trace, seconds: float) -> Iterator[str]:
    """Yields remarks on differences between the times of sound and pictures."""
    if sound.start_s > _NOTABLE_S:
        yield f"The sound starts at {sound.start_s:.1f} s; before it, silence was added."
    if pictures.start_s > _NOTABLE_S:
        yield f"The pictures start at {pictures.start_s:.1f} s; until then the first one is shown."
    if sound.filled_s:
        yield f"Gaps of {sound.filled_s:.2f} s in the sound were filled with silence."
    if sound.cut_s:
        yield (
            f"{sound.cut_s:.2f} s of the sound overlap in time with earlier sound and were left out; "
            "if the file was joined from parts, re-encode it."
        )
    if sound.stated_end_s is not None and sound.end_s < 0.9 * sound.stated_end_s:
        yield f"The sound is cut off: {sound.end_s:.1f} s of {sound.stated_end_s:.1f} s can be decoded."
    elif max(header.duration_s or 0.0, pictures.end_s) > seconds + _NOTABLE_S:
        yield f"The sound ends at {seconds:.1f} s, before the file does; so do the written videos."
    if pictures.ended and pictures.end_s < 0.9 * seconds:
        yield f"The pictures end at {pictures.end_s:.1f} s; the last one is repeated."
