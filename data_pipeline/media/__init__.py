"""Reads and writes video files."""
