"""TFDS sets, one per module: `tfds build data_pipeline/builders/tfds_sets/music.py --manual_dir=DIR --data_dir=data`.

Importing a module registers its set for `tfds.builder("music")`; this package imports none of them.
"""
