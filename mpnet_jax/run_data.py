"""The data of a run: the splits of its set, and the fixed mixtures that it is judged by."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from data_pipeline.command import InputError
from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.picture_cache import PictureCache
from mpnet_jax import config as config_module
from mpnet_jax.config import Config

# Of every data set that a run is trained on.
_TRAINING_SPLITS = ("train", "validation")

# TensorFlow is imported inside functions: a wrong flag is refused before seconds go into it.


def open_splits(config: Config, splits: tuple[str, ...], *, keep_pictures: bool = False) -> dict[str, Any]:
    """Opens splits of the config's data set and refuses a set of other sizes.

    Args:
        config: the run's.
        splits: their names.
        keep_pictures: of "train", once decoded; other splits, and evaluation, read each picture a few times.
    """
    cache = picture_cache(config) if keep_pictures else None
    from data_pipeline.records import RecordStore

    stores = {}
    for split in splits:
        kept = cache if split == "train" else None
        store = RecordStore.open(Path(config.data.directory), config.data.name, split, cache=kept)
        store.require(config_module.data_set_spec(config))
        stores[split] = store
    return stores


def picture_cache(config: Config) -> PictureCache:
    """A cache for decoded training pictures, as the config has it.

    Raises:
        InputError: the folder cannot be used, or the memory is not there.
    """
    gib, folder = config.data.picture_cache_gib, config.data.picture_cache_dir
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if not folder and gib > memory_gib:
        raise InputError(
            f"config.data.picture_cache_gib={gib:g} is more than this machine's memory of {memory_gib:.0f} GiB; ask "
            "for less, or name a folder on a disk in config.data.picture_cache_dir"
        )
    return PictureCache(int(gib * 2**30), Path(folder) if folder else None)


def mixture_list(config: Config, workdir: Path, store: Any, split: str, sources: int | None = None) -> list[Any]:
    """The workdir's fixed list of mixtures of a split, drawn at its first use; of `sources` sounds, or the run's."""
    spec = config_module.mixture_list_spec(config, split, sources)
    return named_list(config, workdir, store, spec, f"{split}_mix{spec.sources}")


def named_list(config: Config, workdir: Path, store: Any, spec: MixtureListSpec, name: str) -> list[Any]:
    """A fixed list of mixtures under its own name, drawn at its first use."""
    from data_pipeline.mixture_list import load_or_draw

    return load_or_draw(workdir / "mixtures" / f"{name}.json", store, config_module.audio_spec(config), spec)


def data_fingerprint(config: Config) -> str:
    """A hash of which records the run was trained and validated on; the same on all machines, see `outline`."""
    from data_pipeline.mixture_list import record_outlines

    stores = open_splits(config, _TRAINING_SPLITS)
    facts = {split: record_outlines(store, range(len(store))) for split, store in stores.items()}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
