"""Layers whose formulations are fast on a CPU; their values equal those of the standard layers."""
