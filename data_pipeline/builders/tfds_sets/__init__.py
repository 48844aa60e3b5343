"""TFDS sets, one a module: `tfds build data_pipeline/builders/tfds_sets/music.py --manual_dir=DIR --data_dir=data`.

Importing a module registers its set, so that `tfds.builder("music")` finds it; this package imports none of them.
"""
