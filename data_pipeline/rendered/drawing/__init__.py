"""Draws the frames of a rendered solo."""
