"""What is computed for one batch on one device: losses, the training step and the evaluation passes."""
