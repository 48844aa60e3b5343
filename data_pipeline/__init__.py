"""From video files to batches of mixed spectrograms. Imports neither JAX nor `mpnet_jax`."""
