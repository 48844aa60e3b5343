"""Finds free pictures of instruments in packages that the user downloaded."""
