"""Solos that are made, not downloaded: composed, synthesised, drawn and written as ordinary `.mp4` files."""
