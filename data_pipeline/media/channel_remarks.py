"""Describes what was found in the channels of a recording."""

from data_pipeline.media.container import Trace

_NOTABLE_OFFSET = 0.01
_NOTABLE_DB = 0.3


def channel_remarks(sound: Trace) -> dict[str, str]:
    """Returns what a user should know about the channels of a recording.

    Args:
        sound: Facts about the decoding, complete.

    Returns:
        Kind of remark, by which remarks are counted -> sentence without a capital letter and a full stop.
    """
    found = {}
    if abs(sound.offset) > _NOTABLE_OFFSET:
        found["offset"] = f"a constant of {sound.offset:+.3f} of full scale was removed from the sound"
    if sound.rescued_db > _NOTABLE_DB:
        lost = f"{sound.rescued_db:.1f} dB of level" if sound.rescued_db < 100 else "all sound"
        found["opposite channels"] = f"channels cancel in parts: their mean would lose {lost}, so it was not used"
    return found
