"""Composes and synthesises the sound of a rendered solo."""
