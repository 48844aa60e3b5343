"""The set `music21`: solos of 21 instruments from YouTube."""

from data_pipeline.builders.tfds_sets.music import Music


class Music21(Music):
    """Chunks of the available videos of MUSIC-21; the published list gives their classes."""

    CLASSES = tuple(
        sorted(
            {"bagpipe", "banjo", "bassoon", "congas", "drum", "electric_bass", "guzheng", "piano", "pipa", "ukulele"}
            | set(Music.CLASSES)
        )
    )
    LIST_NAME = "MUSIC21_solo_videos.json"
    DESCRIPTION = "MUSIC-21: YouTube videos of 21 instruments played alone, cut into chunks of sound and picture."
    CITATION = """
    @inproceedings{zhao2019sound,
      author = {Zhao, Hang and Gan, Chuang and Ma, Wei-Chiu and Torralba, Antonio},
      title = {The Sound of Motions},
      booktitle = {IEEE International Conference on Computer Vision (ICCV)},
      year = {2019}
    }
    """
