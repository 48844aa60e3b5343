"""Layers in formulations that are fast on a CPU, equal in value to the usual ones."""
