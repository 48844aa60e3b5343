"""The data of a run: the splits of its set, and the fixed mixtures that it is judged by."""

import hashlib
import json
from pathlib import Path
from typing import Any

from data_pipeline.mixture_list import MixtureListSpec
from mpnet_jax import config as config_module
from mpnet_jax.config import Config

# Of every data set that a run is trained on.
_TRAINING_SPLITS = ("train", "validation")

# TensorFlow is imported inside functions: a wrong flag is refused before seconds go into it.


def open_splits(config: Config, splits: tuple[str, ...]) -> dict[str, Any]:
    """Opens splits of the config's data set and refuses a set of other sizes."""
    from data_pipeline.records import RecordStore

    stores = {}
    for split in splits:
        # The other splits are read a few times, in order.
        cache_bytes = int(config.data.picture_cache_gib * 2**30) if split == "train" else 0
        store = RecordStore.open(Path(config.data.directory), config.data.name, split, cache_bytes=cache_bytes)
        store.require(config_module.data_set_spec(config))
        stores[split] = store
    return stores


def mixture_list(config: Config, workdir: Path, store: Any, split: str, sources: int | None = None) -> list[Any]:
    """The workdir's fixed list of mixtures of a split, drawn at its first use; of `sources` sounds, or the run's."""
    spec = config_module.mixture_list_spec(config, split, sources)
    return named_list(config, workdir, store, spec, f"{split}_mix{spec.sources}")


def named_list(config: Config, workdir: Path, store: Any, spec: MixtureListSpec, name: str) -> list[Any]:
    """A fixed list of mixtures under its own name, drawn at its first use."""
    from data_pipeline.mixture_list import load_or_draw

    return load_or_draw(workdir / "mixtures" / f"{name}.json", store, config_module.audio_spec(config), spec)


def data_fingerprint(config: Config) -> str:
    """A hash of the records that the run was trained and validated on."""
    from data_pipeline.mixture_list import record_facts

    stores = open_splits(config, _TRAINING_SPLITS)
    facts = {split: record_facts(store, range(len(store))) for split, store in stores.items()}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
