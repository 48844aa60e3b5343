"""One training run: its data, checkpoints, logs and facts."""
