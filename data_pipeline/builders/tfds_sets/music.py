"""The set `music`: solos of 11 instruments from YouTube.

    tfds build data_pipeline/builders/tfds_sets/music.py --config=paper --manual_dir=DIR --data_dir=data

What belongs into DIR: `MANUAL_DOWNLOAD_INSTRUCTIONS`.
"""

from pathlib import Path

from data_pipeline.builders.source_set import About, CutConfig, SourceSet, paper_and_quickstart
from data_pipeline.sources import Listing, Place, music_list

LIST_NAME = "MUSIC_solo_videos.json"


class Music(SourceSet):
    """Chunks of those videos of MUSIC that are there; the published list gives their classes."""

    SOURCE = "music_list"
    CLASSES = (
        "accordion",
        "acoustic_guitar",
        "cello",
        "clarinet",
        "erhu",
        "flute",
        "saxophone",
        "trumpet",
        "tuba",
        "violin",
        "xylophone",
    )
    ABOUT = About(
        description="MUSIC: YouTube videos of 11 instruments played alone, cut into chunks of sound and pictures.",
        homepage="https://github.com/roudimit/MUSIC_dataset",
        citation="""
        @inproceedings{zhao2018sound,
          author = {Zhao, Hang and Gan, Chuang and Rouditchenko, Andrew and Vondrick, Carl and McDermott, Josh and
                    Torralba, Antonio},
          title = {The Sound of Pixels},
          booktitle = {European Conference on Computer Vision (ECCV)},
          year = {2018}
        }
        """,
    )
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig, protocol="music")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The set is a list of YouTube videos, many of which are gone. Put into manual_dir
      MUSIC_solo_videos.json   from https://github.com/roudimit/MUSIC_dataset
      videos/ID.mp4            those of the listed videos that you have, in any folder below `videos`, named by their
                               YouTube id (`title [ID].webm` will do, too)
    The list alone gives the classes.
    """

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists those of the listed videos that are there."""
        return music_list.find_videos(Place(manual_dir / "videos", lists=(manual_dir / LIST_NAME,)))
