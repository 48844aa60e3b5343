"""MP-Net, recursive visual sound separation by a Minus-Plus network, in JAX and Flax.

`Separator` separates the sounds of videos; docs/LIBRARY.md describes it. It is imported when it is first used, because
JAX takes a second to import.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpnet_jax.separation.place_sounds import Step
    from mpnet_jax.separation.separation import Separation, Sound
    from mpnet_jax.separation.separator import Cancelled, Separator, Window

__version__ = "0.1.0"
__all__ = ["Cancelled", "Separation", "Separator", "Sound", "Step", "Window", "__version__"]

_MODULES = {
    "Cancelled": "separator",
    "Separation": "separation",
    "Separator": "separator",
    "Sound": "separation",
    "Step": "place_sounds",
    "Window": "separator",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"mpnet_jax.separation.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def import_jax() -> None:
    """Imports JAX, which reads its environment variables; ends the program with one sentence if it refuses one."""
    try:
        import jax  # noqa: F401
    except ValueError as error:
        sys.stderr.write(f"error: JAX refuses an environment variable ({error}); correct or unset it\n")
        sys.exit(2)


if sys.argv[:1] == ["-m"]:  # A command of this package is about to start.
    import_jax()
