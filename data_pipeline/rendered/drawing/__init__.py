"""Draws the pictures of a rendered solo."""
