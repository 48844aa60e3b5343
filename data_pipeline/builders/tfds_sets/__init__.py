"""TFDS sets, one per module.

    tfds build data_pipeline/builders/tfds_sets/music.py --config=paper --manual_dir=DIR --data_dir=data
    tfds build data_pipeline/builders/tfds_sets/video_folder.py --manual_dir=DIR --data_dir=data \
        --config='{"name": "mine", "classes": ["cello", "violin"], "rate_hz": 16000}'

`MANUAL_DOWNLOAD_INSTRUCTIONS` of each set says what DIR must contain. Importing a module registers its set for
`tfds.builder("music")`; this package imports none of them.
"""
