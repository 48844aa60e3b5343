"""Builds TFDS sets: the command `tfds build` with its flags, without the packages that the program `tfds` loads.

    python -m data_pipeline.builders.build data_pipeline/builders/tfds_sets/rendered_solos.py --config=quickstart \
        --manual_dir=data/videos/rendered_solos --data_dir=data

`tfds` itself imports Apache Beam and mlcroissant before it does anything (the extra `beam` has both), and its worker
processes import them again. Here bad input is one sentence, too.
"""

from data_pipeline import command


def main() -> None:
    """Runs TFDS's command."""
    # Here, because worker processes import this module, too, and need nothing of TFDS.
    from absl import app, logging

    from data_pipeline.tf_cpu import tf  # noqa: F401  (before TFDS, so that no GPU is touched)

    from tensorflow_datasets.scripts.cli import build, cli_utils  # isort: skip

    logging.set_verbosity(logging.INFO)
    app.run(
        lambda arguments: command.guarded(arguments.execute),
        flags_parser=cli_utils.make_flags_parser(build.Args, "Builds TFDS sets, as `tfds build` does."),
    )


if __name__ == "__main__":
    main()
