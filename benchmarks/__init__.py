"""Time and memory of a training step, beside a plain PyTorch peer of equal work."""
