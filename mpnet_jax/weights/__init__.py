"""Trained networks: of a run, of a model file, of PyTorch."""
