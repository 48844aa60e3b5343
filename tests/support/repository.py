"""The root folder of the repository, where commands run."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
