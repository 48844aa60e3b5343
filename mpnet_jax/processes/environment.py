"""Prepares JAX for a command, so that its results do not depend on environment variables or on the home folder."""

import os
from pathlib import Path

import jax
from absl import logging

from data_pipeline.command import InputError, expanded
from mpnet_jax.processes.malloc import keep_freed_memory

# What JAX's environment variables must not change: with other values the results differ, or steps fail.
_SETTINGS = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,
    "jax_disable_jit": False,
}


def prepare() -> None:
    """Fixes the types of JAX, checks that it has a device, turns on its compilation cache and sets malloc.

    This changes the configuration of JAX and of malloc in the whole process.

    Raises:
        InputError: JAX finds no device, for example because JAX_PLATFORMS names one that is not there, or
            MPNET_JAX_CACHE begins with `~` and an unknown user.
    """
    keep_freed_memory()
    for name, value in _SETTINGS.items():
        if getattr(jax.config, name) != value:
            logging.warning("%s=%s is not used; this command sets %s", name.upper(), getattr(jax.config, name), value)
            jax.config.update(name, value)
    require_devices()
    _keep_compiled_programs()


def require_devices() -> None:
    """Starts JAX's devices.

    Raises:
        InputError: There are none.
    """
    try:
        jax.devices()
    # JAX raises the second one where JAX_PLATFORMS=cuda names a plugin that is not installed.
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        chosen = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX finds no device with JAX_PLATFORMS={chosen!r}{f' ({reason})' if reason else ''}; unset JAX_PLATFORMS "
            "or set it to cpu, or install JAX for the device"
        ) from None


def cache_folder() -> Path | None:
    """Returns the path of this project's folder in the user's cache folder; None without a home folder."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # A relative path is ignored, as the XDG specification demands.
        folder = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "mpnet_jax"


def _keep_compiled_programs() -> None:
    """Turns on JAX's compilation cache, in $MPNET_JAX_CACHE or else in the user's cache folder.

    `~` at the beginning of $MPNET_JAX_CACHE is the home folder.

    With several processes the cache is off unless $MPNET_JAX_CACHE is set; it must then name a folder that all of them
    share. Only process 0 writes, and a process that finds a program does not compile it, while the others would wait
    for it. Without a folder that can be written, the cache is off.
    """
    if given := os.environ.get("MPNET_JAX_CACHE"):
        folder = Path(expanded(given))
    elif jax.process_count() > 1 or (own := cache_folder()) is None:
        return
    else:
        folder = own / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(0, "no permission to write")
    except OSError as error:
        logging.warning(
            "compiled programs are not kept, since %s cannot be written (%s); set MPNET_JAX_CACHE to another folder",
            folder,
            error.strerror,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
