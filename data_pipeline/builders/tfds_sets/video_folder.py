"""The set `video_folder`: any folder of videos; the first-level folder names the class."""

from data_pipeline.builders.source_set import LabelledConfig, SourceSet, paper_and_quickstart


class VideoFolder(SourceSet):
    """Chunks of the videos of a folder, with the classes that the config names."""

    SOURCE = "folder"
    DESCRIPTION = "Solos from a folder of videos, cut into chunks of sound and pictures."
    BUILDER_CONFIGS = paper_and_quickstart(LabelledConfig)
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give the folder of your videos as --manual_dir: manual_dir/CLASS/NAME.mp4 (or .mkv, .webm, .mov, .avi ...), at any
    depth. Name the classes by --config='{"name": "mine", "classes": ["CLASS", ...]}'; videos directly in manual_dir
    have the class "unlabelled", which is the only one of the configs "paper" and "quickstart".
    """
