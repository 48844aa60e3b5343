"""Compares evaluated runs: `python -m mpnet_jax.report --runs=runs/a,runs/b [--out=runs/comparison]`.

Reads the metrics.json of each run and writes a page and `comparison.json` into the folder `--out`.
"""

import sys

from absl import flags

from data_pipeline import command
from mpnet_jax.report.side_by_side import write_comparison


def main() -> None:
    """Runs the command."""
    page = write_comparison(flags.FLAGS.runs, flags.FLAGS.out)
    sys.stdout.write(f"numbers: {page.parent / 'comparison.json'}\nreport:  {page}\n")


if __name__ == "__main__":
    command.define_paths("runs", [], "Folders of evaluated runs, two or more, separated by commas.")
    command.define_path("out", "runs/comparison", "Folder of the comparison.")
    command.run(main)
