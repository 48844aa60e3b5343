"""Compiled programs are kept between runs: a second start compiles nothing."""

import os
from pathlib import Path

import jax


def enable() -> None:
    """Keeps compiled programs in $MPNET_JAX_CACHE, or else in the user's cache folder."""
    folder = os.environ.get("MPNET_JAX_CACHE")
    if not folder:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(Path(home) / "mpnet_jax" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
