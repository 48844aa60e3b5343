"""Fixtures: a model without networks, and the oracle that replaces them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpnet_jax.methods.registry import method_of
from mpnet_jax.separation import separate_video as module
from mpnet_jax.separation.formats import FileFormat
from mpnet_jax.separation.names import Namer
from mpnet_jax.separation.output import Output
from mpnet_jax.separation.separator import Separator
from mpnet_jax.weights.trained import Model
from tests.support.oracle import Oracle
from tests.support.tiny_run import tiny_config


@pytest.fixture
def model() -> Model:
    about = {"source": "oracle", "method": "mnet", "step": 0, "networks": "", "epsilon_relative": 0.1}
    return Model(method_of(tiny_config(Path("data"))), {}, about)


@pytest.fixture
def oracle(model, monkeypatch):
    """Replaces the networks by the oracle; calling the fixture replaces it by an oracle with other options."""

    def use(**how) -> Oracle:
        made = Oracle(model.method.audio, axis=model.method.axis, **how)
        monkeypatch.setattr(module, "make_separator", lambda *_, **__: made)
        return made

    use()
    return use


def separate_video(
    video: Path, out: Path, model: Model, options: dict[str, Any], *, namer: Namer | None = None, **where: Any
) -> dict[str, Any]:
    """Separates a video with a model and writes the results; `options` holds `sounds` and fields of `Output`."""
    options = dict(options)
    separator = Separator(model, sounds=options.pop("sounds", None), names=namer or False, keep_places=False)
    kind = FileFormat(options.pop("format", "wav"))
    return separator.separate_to(video, out, Output(format=kind, **options), **where)


def duet(rate_hz: int, seconds: float, channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Returns two sounds (channels, samples) below and above the oracle's border, with fades at both ends."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    fade = np.clip(2 * np.minimum(time, time[::-1]), 0, 1)
    fade = fade**2 * (3 - 2 * fade)
    low = fade * 0.2 * (1 + 0.5 * np.sin(2 * np.pi * 0.5 * time)) * np.sin(2 * np.pi * 250 * time)
    high = fade * 0.2 * (1 + 0.5 * np.cos(2 * np.pi * 0.3 * time)) * np.sin(2 * np.pi * 2500 * time)
    gains = np.linspace(1.0, 0.5, channels)[:, None]
    return gains * low, gains[::-1] * high
