"""Reads trained networks from runs, model files and PyTorch files."""
