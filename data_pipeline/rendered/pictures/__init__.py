"""Reads pictures of instruments from a folder and decides which player holds which one."""
