"""The set `vegas`: videos of ten kinds of natural sounds.

The data set was not available when this was written. Layout and class names are those that public programs read;
folders with other names are refused with a message that names them.
"""

from data_pipeline.builders.source_set import CutConfig, SourceSet, paper_and_quickstart


class Vegas(SourceSet):
    """Chunks of the videos of VEGAS."""

    SOURCE = "vegas"
    CLASSES = (
        "baby_cry",
        "chainsaw",
        "dog",
        "drum",
        "fireworks",
        "helicopter",
        "printer",
        "rail_transport",
        "snoring",
        "water_flowing",
    )
    DESCRIPTION = "VEGAS: short videos of ten kinds of sounds, cut into chunks of sound and pictures."
    CITATION = """
    @inproceedings{zhou2018visual,
      author = {Zhou, Yipin and Wang, Zhaowen and Fang, Chen and others},
      title = {Visual to Sound: Generating Natural Sound for Videos in the Wild},
      booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
      year = {2018}
    }
    """
    BUILDER_CONFIGS = paper_and_quickstart(CutConfig, protocol="vegas")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask the authors of VEGAS for the set and unpack it, then give its folder as --manual_dir: manual_dir/CLASS/NAME.mp4
    or manual_dir/CLASS/videos/NAME.mp4, with the classes baby_cry, chainsaw, dog, drum, fireworks, helicopter,
    printer, rail_transport, snoring and water_flowing.
    """
