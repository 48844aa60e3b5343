"""The set `index_csv`: extracted audio and images, listed as PixelPlayer's scripts do."""

from pathlib import Path

from data_pipeline.builders.source_set import LabelledConfig, SourceSet, paper_and_quickstart
from data_pipeline.command import InputError
from data_pipeline.sources import Listing, Place, index_csv
from data_pipeline.staging.division import Division


class IndexCsv(SourceSet):
    """Chunks of listed audio and images, with the classes that the config names; several lists are splits."""

    SOURCE = "index_csv"
    DESCRIPTION = "Solos from extracted sounds and pictures, cut into chunks."
    BUILDER_CONFIGS = paper_and_quickstart(LabelledConfig)
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give the folder that the lists' relative paths start from as --manual_dir, with the lists directly in it: one
    manual_dir/NAME.csv, or one for each split: train.csv, val.csv, test.csv. Rows are
      ./data/audio/CLASS/ID.mp3,./data/frames/CLASS/ID.mp4,NUMBER
    with sounds (.mp3, .wav, .npy) and NUMBER pictures 000001.jpg ..., eight a second. Name the classes by
    --config='{"name": "mine", "classes": ["CLASS", ...]}'.
    """

    def find_videos(self, manual_dir: Path) -> Listing:
        """Lists the contents of the CSV files of the folder."""
        lists = tuple(sorted(manual_dir.glob("*.csv")))
        if not lists:
            raise InputError(f"{manual_dir} holds no .csv file; put the list of sounds and pictures there")
        return index_csv.find_videos(Place(manual_dir, lists=lists))

    def division(self, listing: Listing) -> Division:
        """Uses several lists as the splits that their names say; divides a single one."""
        config = self.cut_config
        several = len(set(listing.listed_in.values())) > 1
        return (
            Division(by_list=True) if several and not (config.split or config.protocol) else super().division(listing)
        )
