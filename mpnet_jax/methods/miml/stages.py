"""What MIML makes before its network learns, and reads again to separate: a class network and a bank of bases."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mpnet_jax import parallel
from mpnet_jax.config.specs import Config
from mpnet_jax.methods import registry
from mpnet_jax.methods.miml import basis_bank, class_training
from mpnet_jax.steps.device_pass import HostBatch, Separator

_CLIPS = 64  # whose bases a device relates to the classes at a time


def training_batches(
    config: Config,
    workdir: Path,
    sounds: Callable[..., Iterator[HostBatch]],
    sounds_and_pictures: Callable[..., Iterator[HostBatch]],
) -> Callable[..., Iterator[HostBatch]]:
    """The bases that the training steps are given; what is missing of the stages before is made first.

    Args:
        config: the run's.
        workdir: the run's.
        sounds: training mixtures, `batch_size` at a time, from `first_step` on.
        sounds_and_pictures: the same with frames.

    Returns:
        A function of `first_step` to endless batches of `basis_bank.training_batches`.

    Raises:
        InputError: the files of a stage cannot be read.
    """
    fields = config.miml
    parallel.check_batch(fields.class_mixtures, field="miml.class_mixtures")
    class_training.load_or_train(
        workdir / class_training.FILE,
        registry.class_state(config),
        registry.class_step(config),
        sounds_and_pictures,
        steps=fields.class_steps,
        batch_size=fields.class_mixtures,
    )
    bank = basis_bank.load_or_make(
        workdir / basis_bank.FOLDER,
        functools.partial(sounds, batch_size=basis_bank.PIECE),
        Separator(parallel.parallel_map(registry.factorise_step(config)), ()),
        mixtures=fields.mixtures,
        solos=fields.learns_from == "solos",
        classes=fields.classes,
    )
    return functools.partial(basis_bank.training_batches, bank, batch_size=config.batch_size, seed=config.seed)


def read(config: Config, workdir: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The stages of a trained run, as its separation needs them.

    Returns:
        A function from MIML's variables on the devices to what goes beside them: the `dictionary` that its network
        makes of the bank, and the variables of the `class_net`.

    Raises:
        InputError: the files of a stage are gone or cannot be read.
    """
    fields = config.miml
    bank = basis_bank.load(workdir / basis_bank.FOLDER, mixtures=fields.mixtures)
    relate = parallel.parallel_map(registry.relate_step(config))
    state = registry.class_state(config)
    class_net = class_training.load(workdir / class_training.FILE, state, steps=fields.class_steps)

    def beside(variables: dict[str, Any]) -> dict[str, Any]:
        relations = Separator(relate, variables, size=_CLIPS)({"bases": bank.bases})["relations"]
        found = basis_bank.dictionary(bank, relations, threshold=fields.threshold, most=fields.bases_of_class)
        return parallel.replicate({"dictionary": found, "class_net": class_net})

    return beside
