"""The set `music21`: solos of 21 instruments from YouTube.

    tfds build data_pipeline/builders/tfds_sets/music21.py --config=paper --manual_dir=DIR --data_dir=data

What belongs into DIR: `MANUAL_DOWNLOAD_INSTRUCTIONS`.
"""

from pathlib import Path

from data_pipeline.builders.source_set import About, CutConfig, SourceSet, paper_and_quickstart
from data_pipeline.sources import Listing, Place, music_list

LIST_NAME = "MUSIC21_solo_videos.json"


class Music21(SourceSet):
    """Chunks of those videos of MUSIC-21 that are there; the published list gives their classes."""

    SOURCE = "music_list"
    CLASSES = (
        "accordion",
        "acoustic_guitar",
        "bagpipe",
        "banjo",
        "bassoon",
        "cello",
        "clarinet",
        "congas",
        "drum",
        "electric_bass",
        "erhu",
        "flute",
        "guzheng",
        "piano",
        "pipa",
        "saxophone",
        "trumpet",
        "tuba",
        "ukulele",
        "violin",
        "xylophone",
    )
    ABOUT = About(
        description="MUSIC-21: YouTube videos of 21 instruments played alone, cut into chunks of sound and picture.",
        homepage="https://github.com/roudimit/MUSIC_dataset",
        citation="""
        @inproceedings{zhao2019sound,
          author = {Zhao, Hang and Gan, Chuang and Ma, Wei-Chiu and Torralba, Antonio},
          title = {The Sound of Motions},
          booktitle = {IEEE International Conference on Computer Vision (ICCV)},
          year = {2019}
        }
        """,
    )
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig, protocol="music")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The set is a list of YouTube videos, many of which are gone. Put into manual_dir
      MUSIC21_solo_videos.json   from https://github.com/roudimit/MUSIC_dataset
      videos/ID.mp4              those of the listed videos that you have, in any folder below `videos`, named by their
                                 YouTube id (`title [ID].webm` will do, too)
    The list alone gives the classes.
    """

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists those of the listed videos that are there."""
        return music_list.find_videos(Place(manual_dir / "videos", lists=(manual_dir / LIST_NAME,)))
