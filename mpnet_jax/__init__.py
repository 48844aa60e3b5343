"""MP-Net, recursive visual sound separation by a Minus-Plus network, in JAX and Flax."""

__version__ = "0.1.0"
