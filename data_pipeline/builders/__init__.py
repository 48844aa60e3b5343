"""Writes staged videos as TFDS data sets."""
