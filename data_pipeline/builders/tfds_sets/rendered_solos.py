"""The set `rendered_solos`: the videos of `python -m data_pipeline.render_solos`."""

from data_pipeline.builders.source_set import SourceSet
from data_pipeline.rendered.sound.instruments import CLASSES


class RenderedSolos(SourceSet):
    """Chunks of rendered solos of the 11 instruments of MUSIC, with the players' boxes."""

    SOURCE = "folder"
    CLASSES = CLASSES
    DESCRIPTION = (
        "Solos of 11 instruments that were composed, rendered with a General MIDI soundfont and drawn "
        "by a seeded program, cut into chunks of sound and pictures. The place of the player in every picture is known."
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Render the solos with `python -m data_pipeline.render_solos --out=DIR`, and give DIR as --manual_dir:
    manual_dir/INSTRUMENT/INSTRUMENT_000.mp4, each with a JSON file of boxes beside it.
    """
