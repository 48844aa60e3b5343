"""The command `mpnet-jax`: `mpnet-jax separate concert.mp4 -o out`, `mpnet-jax --help`.

Each subcommand is the program `python -m MODULE` of the same flags.
"""

import importlib.util
import runpy
import sys

from data_pipeline.command import EXIT_BAD_INPUT
from mpnet_jax import __version__, import_jax

# The module of each subcommand, and what it does.
COMMANDS = {
    "separate": ("mpnet_jax.separate", "take a video apart"),
    "demo": ("mpnet_jax.demo", "the same in the browser, with a mixer"),
    "train": ("mpnet_jax.train", "train a model"),
    "evaluate": ("mpnet_jax.evaluate", "measure a trained model"),
    "compare": ("mpnet_jax.compare", "compare the methods"),
    "report": ("mpnet_jax.report", "compare evaluated runs on one page"),
    "models": ("mpnet_jax.list_models", "list the models that ship, or describe a trained one"),
    "download": ("data_pipeline.download", "download the videos of a list"),
    "prepare": ("data_pipeline.prepare", "make a data set of videos"),
    "render": ("data_pipeline.render_solos", "render videos of single players"),
    "scene": ("data_pipeline.render_scene", "render a video of several players"),
    "convert": ("mpnet_jax.convert", "read the weights of other implementations"),
    "export": ("mpnet_jax.export", "write a trained model into one file"),
}
# Packages of the extra `train`, by the name that is imported.
_TRAINING = {
    "tensorflow",
    "tensorflow_datasets",
    "tensorboard",
    "librosa",
    "skimage",
    "pretty_midi",
    "midirenderer",
    "resvg_py",
}


def main() -> None:
    """Runs the subcommand that the command line names.

    Raises:
        SystemExit: Status 2 for an unknown subcommand or a missing package, else that of the subcommand.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "-help", "help"):
        sys.stdout.write(usage())
        sys.exit(0)
    if name == "--version":
        sys.stdout.write(f"mpnet-jax {__version__}\n")
        sys.exit(0)
    if name not in COMMANDS:
        _fail(f"{name!r} is no command; use one of {', '.join(COMMANDS)}")
    module, _ = COMMANDS[name]
    if module.startswith("mpnet_jax."):
        import_jax()
    sys.argv[:2] = [f"mpnet-jax {name}"]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _TRAINING or importlib.util.find_spec(package) is not None:
            raise
        _fail(f"mpnet-jax {name} needs {package}; install it in the checkout with: pip install '.[train]'")


def usage() -> str:
    """Returns the help of the command."""
    rows = "".join(f"  {name:<10} {what}\n" for name, (_, what) in COMMANDS.items())
    return (
        "usage: mpnet-jax COMMAND [--flag=value ...]\n\n"
        f"{rows}\n"
        "mpnet-jax COMMAND --help lists the flags of a command.  mpnet-jax --version prints the version.\n"
    )


def _fail(sentence: str) -> None:
    sys.stderr.write(f"error: {sentence}\n")
    sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
