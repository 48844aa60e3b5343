"""From staged videos to TFDS data sets."""
