"""The root folder of the repository, in which the commands are run."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
