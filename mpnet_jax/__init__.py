"""MP-Net, recursive visual sound separation by a Minus-Plus network, in JAX and Flax."""

import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # A command of this package is about to start.
    try:
        import jax  # noqa: F401 (reads the environment variables of JAX)
    except ValueError as error:
        sys.stderr.write(f"error: JAX refuses an environment variable ({error}); correct or unset it\n")
        sys.exit(2)
