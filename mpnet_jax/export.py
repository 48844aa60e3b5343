"""Exports the best networks of a run: `python -m mpnet_jax.export --workdir=RUN --out=FILE.safetensors`.

Writes the weights and, with the suffix `.json`, the config (see `weights.model_file`). `separate` needs no other file.
"""

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError


def main() -> None:
    """Runs the command."""
    workdir, out = flags.FLAGS.workdir, flags.FLAGS.out
    if not workdir or not out:
        raise InputError("name a run and a file: --workdir=RUN --out=FILE.safetensors")
    from mpnet_jax.processes import environment
    from mpnet_jax.weights.model_file import write_model
    from mpnet_jax.weights.trained import read_run

    environment.prepare()
    model = read_run(workdir)
    write_model(out, model)
    size = out.stat().st_size / 2**20
    logging.info("%s of step %d: %s, %.1f MiB", model.facts["method"], model.facts["step"], out, size)


if __name__ == "__main__":
    command.define_path("workdir", None, "Folder of the run.")
    command.define_path("out", None, "File to write; its name ends in .safetensors.")
    command.run(main)
