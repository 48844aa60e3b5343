"""Compiled programs are kept between runs: a second start compiles nothing."""

import os
from pathlib import Path

import jax


def enable() -> None:
    """Keeps compiled programs in $MPNET_JAX_CACHE, or else in the user's cache folder.

    Of several processes the first alone writes. One that finds a program there does not compile it with the others, who
    wait for it; so several keep none but where $MPNET_JAX_CACHE names a folder that all of them share.
    """
    folder = os.environ.get("MPNET_JAX_CACHE")
    if not folder:
        if jax.process_count() > 1:
            return
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(Path(home) / "mpnet_jax" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
