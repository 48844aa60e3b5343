"""The set `music`: solos of 11 instruments from YouTube."""

from pathlib import Path

from data_pipeline.builders.source_set import CutConfig, SourceSet, paper_and_quickstart
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.sources import Listing, Place, music_list


class Music(SourceSet):
    """Chunks of the available videos of MUSIC; the published list gives their classes."""

    SOURCE = "music_list"
    CLASSES = CLASSES
    LIST_NAME = "MUSIC_solo_videos.json"
    DESCRIPTION = "MUSIC: YouTube videos of 11 instruments played alone, cut into chunks of sound and pictures."
    HOMEPAGE = "https://github.com/roudimit/MUSIC_dataset"
    CITATION = """
    @inproceedings{zhao2018sound,
      author = {Zhao, Hang and Gan, Chuang and Rouditchenko, Andrew and Vondrick, Carl and McDermott, Josh and
                Torralba, Antonio},
      title = {The Sound of Pixels},
      booktitle = {European Conference on Computer Vision (ECCV)},
      year = {2018}
    }
    """
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig, protocol="music")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The set is a list of YouTube videos, many of which are gone. Put into manual_dir
      MUSIC_solo_videos.json   from https://github.com/roudimit/MUSIC_dataset; for music21: MUSIC21_solo_videos.json
      videos/ID.mp4            those of the listed videos that you have, in any folder below `videos`, named by their
                               YouTube id (`title [ID].webm` will do, too)
    The list alone gives the classes.
    """

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists the listed videos that are available."""
        return music_list.find_videos(Place(manual_dir / "videos", lists=(manual_dir / self.LIST_NAME,)))
