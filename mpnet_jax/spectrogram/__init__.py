"""Frequency axes as constant matrices, and the way back to a waveform."""
