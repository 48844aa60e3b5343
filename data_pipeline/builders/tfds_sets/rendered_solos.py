"""The set `rendered_solos`: the videos that `python -m data_pipeline.render_solos` made.

    tfds build data_pipeline/builders/tfds_sets/rendered_solos.py --config=quickstart \
        --manual_dir=data/videos/rendered_solos --data_dir=data

What belongs into DIR: `MANUAL_DOWNLOAD_INSTRUCTIONS`.
"""

from pathlib import Path

from data_pipeline.builders.source_set import About, SourceSet
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.sources import Listing, Place, folder


class RenderedSolos(SourceSet):
    """Chunks of rendered solos of the 11 instruments of MUSIC, with the players' boxes."""

    SOURCE = "folder"
    CLASSES = CLASSES
    ABOUT = About(
        description=(
            "Solos of 11 instruments that were composed, rendered with a General MIDI soundfont and drawn by a seeded "
            "program, cut into chunks of sound and pictures. The place of the player in every picture is known."
        )
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Render the solos with `python -m data_pipeline.render_solos --out=DIR`, and give DIR as --manual_dir:
    manual_dir/INSTRUMENT/INSTRUMENT_000.mp4, each with a JSON file of boxes beside it.
    """

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists the rendered videos."""
        return folder.find_videos(Place(manual_dir))
