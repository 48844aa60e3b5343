"""MIML as a method: its class network, its bank of bases, and the network that relates bases to classes.

Two stages come before the training of that network and are kept in the workdir: the class network learns to name the
training clips, and the bank holds bases of the clips' sounds.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from data_pipeline.command import InputError
from mpnet_jax import parallel
from mpnet_jax.config.rounds import Round, RoundKind
from mpnet_jax.methods import registry, settings
from mpnet_jax.methods.miml import basis_bank, class_training, nmf, steps
from mpnet_jax.methods.miml.class_net import ClassNet
from mpnet_jax.methods.miml.network import MIML
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.steps import optim
from mpnet_jax.steps.device_pass import Separator
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning

_CLIPS = 64  # clips whose bases a device relates to the classes at a time


@registry.register
class RelatedBases(registry.Method):
    """MIML with one round, "both", in which its network learns how bases relate to classes."""

    name = "miml"
    kinds: ClassVar = {"both": RoundKind((steps.RELATION_NET,), "miml")}

    def check(self) -> None:
        """Raises InputError where the config does not fit; see `Method.check`."""
        super().check()
        if self.config.model.frame_net_trained == "nothing":
            raise InputError(
                "config.model.frame_net_trained=nothing leaves MIML's class network untrained; set it to head or all"
            )
        if self.config.mixing.same_class:
            raise InputError(
                "config.mixing.same_class=True and config.method=miml do not go together: MIML tells sounds apart by "
                "their classes alone; set same_class to False, or take another method"
            )

    def check_classes(self, classes: Sequence[str], folder: Path) -> None:
        """Raises InputError where the network has another number of classes than the data set."""
        settings.check_class_count(self.config, classes, folder)

    def check_far_classes(self, classes: Sequence[str], trained: Sequence[str], folder: Path) -> None:
        """Raises InputError where a data set has other classes than the one that MIML was trained on."""
        if tuple(classes) != tuple(trained):
            raise InputError(
                f"--far in {folder} has the classes {', '.join(classes)}; MIML knows the classes "
                f"{', '.join(trained)} alone: prepare a set of these, or leave --far out"
            )

    def check_processes(self, count: int) -> None:
        """Raises InputError for more than one process."""
        if count > 1:
            raise InputError(
                f"config.method=miml trains in one process, not in {count}: its steps are small; start one"
            )

    def model(self) -> MIML:
        """Builds the network that relates bases to classes, in evaluation form."""
        own = self.config.miml
        return MIML(own.classes, own.concepts, own.features, statistics_decay=self.config.model.statistics_decay)

    def model_inputs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Returns the shape of one clip's bases."""
        return (jax.ShapeDtypeStruct((1, self.config.miml.bases, self.audio.freq_bins), jnp.float32),)

    def class_net(self) -> ClassNet:
        """Builds the class network, in evaluation form."""
        fields = self.config.model
        return ClassNet(
            self.config.miml.classes,
            settings.frame_spec(self.config),
            statistics_decay=fields.statistics_decay,
        )

    def class_state(self) -> TrainState:
        """Returns the class network's state at step 0: a pure function of the config."""
        shape = settings.seen_shape(self.config)
        seen = jnp.zeros(shape.shape, shape.dtype)
        variables = jax.jit(self.class_net().init)(jax.random.key(self.config.seed, impl="rbg"), seen)
        variables = settings.with_pretrained_trunk(self.config, {part: dict(nets) for part, nets in variables.items()})
        state = TrainState(jnp.zeros((), jnp.int32), **variables, opt_state=())
        return state.with_optimiser(self._class_optimiser(), self._class_learning().trained)

    def class_step(self) -> Callable[..., Any]:
        """Builds the training step of the class network, for one device."""
        return steps.make_class_step(self.class_net(), self._class_learning(), axis_name=DEVICE_AXIS)

    def _class_learning(self) -> Learning:
        return Learning(self._class_optimiser(), settings.trained(self.config, ("frame_net",)))

    def frame_trunk(self, state: TrainState) -> dict[str, Any]:
        """Returns the trunk of the class network; see `Method.frame_trunk`."""
        del state  # it holds no frame network
        return super().trunk_in(self.class_state().variables)

    def trunk_in(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Returns the trunk of the class network; see `Method.trunk_in`."""
        return super().trunk_in(variables["class_net"])

    def _class_optimiser(self) -> optax.GradientTransformation:
        length, peak = self.config.miml.class_steps, self.config.miml.class_rate
        return optax.adam(
            optim.learning_rate("cosine", peak=peak, steps=length, warmup_steps=length // 20, boundaries=())
        )

    def train_step(self, each: Round) -> Callable[..., Any]:
        """Builds the training step, for one device."""
        return steps.make_miml_train_step(self.model(), settings.learning(self.config, each), axis_name=DEVICE_AXIS)

    def training_batches(self, workdir: Path, store: Any) -> Callable[..., Iterator[Any]]:
        """Returns batches of bases; makes what is missing of the class network and the bank first.

        Raises:
            InputError: The files of a stage cannot be read.
        """
        fields, mixtures = self.config.miml, self.mixtures_of(store)
        parallel.check_batch(fields.class_mixtures, field="miml.class_mixtures")
        class_training.load_or_train(
            workdir / class_training.FILE,
            self.class_state(),
            self.class_step(),
            functools.partial(mixtures, frames=self.data.frames),
            steps=fields.class_steps,
            batch_size=fields.class_mixtures,
        )
        factorise = steps.make_factorise_step(
            bases=fields.bases,
            beta=nmf.BETAS[fields.divergence],
            iterations=fields.iterations,
            seed=self.config.seed,
        )
        bank = basis_bank.load_or_make(
            workdir / basis_bank.FOLDER,
            functools.partial(mixtures, frames=None, batch_size=basis_bank.PIECE),
            Separator(parallel.parallel_map(factorise), ()),
            mixtures=fields.mixtures,
            solos=fields.learns_from == "solos",
            classes=fields.classes,
        )
        return functools.partial(
            basis_bank.training_batches, bank, batch_size=self.config.batch_size, seed=self.config.seed
        )

    def completion(self, workdir: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Returns a function that adds the `dictionary` of bases and the variables of the `class_net`.

        Raises:
            InputError: The files of a stage are missing or cannot be read.
        """
        fields = self.config.miml
        bank = basis_bank.load(workdir / basis_bank.FOLDER, mixtures=fields.mixtures)
        class_net = class_training.load(workdir / class_training.FILE, self.class_state(), steps=fields.class_steps)
        relate = parallel.parallel_map(steps.make_relate_step(self.model()))

        def complete(variables: dict[str, Any]) -> dict[str, Any]:
            relations = Separator(relate, variables, size=_CLIPS)({"bases": bank.bases})["relations"]
            dictionary = basis_bank.dictionary(bank, relations, threshold=fields.threshold, most=fields.bases_of_class)
            return variables | parallel.replicate({"dictionary": dictionary, "class_net": class_net})

        return complete

    def separate_step(self, result: str) -> Callable[..., Any]:
        """Builds the evaluation pass that takes the classes of the class network, for one device."""
        del result
        return self._separate_step(self.class_net())

    def separate_steps(self, result: str) -> dict[str, Callable[..., Any]]:
        """Builds the evaluation pass with the true classes, and the one with those of the class network."""
        return {"miml_told": self._separate_step(None), result: self.separate_step(result)}

    def _separate_step(self, class_net: ClassNet | None) -> Callable[..., Any]:
        fields = self.config.miml
        return steps.make_miml_separate_step(
            class_net,
            axis=self.axis,
            audio=self.audio,
            floor=self.config.recursion.floor,
            mask=self.config.mask,
            beta=nmf.BETAS[fields.divergence],
            iterations=fields.separation_iterations,
        )
