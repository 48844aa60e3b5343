"""Weights that training starts from or `separate` takes: the small model that ships, ImageNet's, and PyTorch files."""
