"""Lists trained models: `mpnet-jax models [RUN or FILE.safetensors ...] [--json]`.

Without arguments, it lists the models that ship with the package.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from data_pipeline import command


def main(arguments: Sequence[str] = ()) -> None:
    """Runs the command.

    Args:
        arguments: Folders of runs and model files.
    """
    from mpnet_jax.processes import environment
    from mpnet_jax.weights import catalogue

    environment.prepare()
    paths = [Path(command.expanded(argument)) for argument in arguments]
    models = [catalogue.described(path) for path in paths] if paths else catalogue.shipped()
    if flags.FLAGS.json:
        sys.stdout.write(json.dumps(models, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(text(model) for model in models))


def text(model: Mapping[str, Any]) -> str:
    """Returns the description of a model as lines."""
    chosen = "chosen on validation data" if model["epsilon_from"] == "validation" else "the default"
    size = f", {model['bytes'] / 2**20:.1f} MiB" if model["bytes"] else ""
    sounds = ", ".join(model["sounds"]) if model["sounds"] else "those of its data set, which is not there"
    rows = {
        "sounds": sounds,
        "data set": model["data"],
        "networks": f"{model['method']}, step {model['step']:,}, {model['networks']}",
        "input": f"{model['rate_hz']:,} Hz in windows of {model['window_s']:.1f} s",
        "size": f"{model['parameters'] / 1e6:.2f} million parameters{size}",
        "epsilon": f"{model['epsilon_relative']:.3f}, {chosen}",
        "licence": model["licence"],
        "card": model["card"],
        "path": model["path"],
    }
    lines = "".join(f"  {name + ':':<10}{value}\n" for name, value in rows.items() if value)
    return f"{model['name']}\n{lines}"


if __name__ == "__main__":
    flags.DEFINE_bool("json", False, "Print JSON instead of text.")
    command.run(main, arguments=True)
