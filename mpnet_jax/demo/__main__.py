"""Serves a page that separates videos: `mpnet-jax demo`, or `python -m mpnet_jax.demo [--port=7860]`.

The page listens on this machine alone unless `--host` says otherwise. docs/DEMO.md describes it.
"""

import contextlib
import importlib.util
import sys
import webbrowser

from absl import flags

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.demo.limits import Limits

_NEEDED = ("starlette", "uvicorn", "jinja2")


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise InputError("mpnet-jax demo needs a web server; install it in the checkout with: pip install '.[demo]'")
    # Imported here, after the check.
    from mpnet_jax.demo.networks import Networks
    from mpnet_jax.demo.server import serve

    limits = Limits(
        upload_bytes=1_000_000 * values.megabytes, seconds=60.0 * values.minutes, results=values.most_results
    )

    def ready(address: str) -> None:
        sys.stdout.write(f"open {address} in a browser; Ctrl-C stops the server\n")
        sys.stdout.flush()
        if values.open:
            webbrowser.open(address)

    # Depending on the moment, the server handles Ctrl-C itself or passes it on.
    with contextlib.suppress(KeyboardInterrupt):
        serve(values.folder, Networks(values.workdir), host=values.host, port=values.port, limits=limits, ready=ready)
    sys.stdout.write("stopped; the results remain in the folder\n")


if __name__ == "__main__":
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on. Any other than the loopback's lets others use it.")
    flags.DEFINE_integer("port", 7860, "Port to listen on; 0 for any that is free.", 0, 65535)
    command.define_path("folder", "mpnet_demo", "Folder of the results; created when missing.")
    command.define_path("workdir", None, "Folder of a trained run; by default the small model of the package is used.")
    flags.DEFINE_integer("megabytes", 2000, "Largest video that is taken, in MB.", 1)
    flags.DEFINE_float("minutes", 10.0, "Longest video that is taken; a browser holds all its sounds in memory.", 0.1)
    flags.DEFINE_integer("most_results", 50, "Most results that are kept.", 1)
    flags.DEFINE_bool("open", False, "Open the page in the default browser.")
    command.run(main)
