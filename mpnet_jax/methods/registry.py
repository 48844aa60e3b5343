"""The base class of a method of sound separation, and the registry that finds the method of a config.

A method is one class in a module or package of `mpnet_jax.methods` whose name is the value of `config.method`. Code
outside this package asks the object that `method_of` returns and never which method it is.
"""

import abc
import functools
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import flax.linen as nn
import jax

from data_pipeline.command import InputError
from data_pipeline.spec import AudioSpec
from mpnet_jax import methods, parallel
from mpnet_jax.config import check, specs
from mpnet_jax.config.rounds import Round, RoundKind, plan_rounds, round_of
from mpnet_jax.config.specs import Config, DataSpec, EvaluationSpec
from mpnet_jax.methods import settings
from mpnet_jax.run import start_from
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.train_state import TrainState, create_train_state

_SHARED = ("registry", "settings")  # modules of this package that are not methods
_REGISTERED: dict[str, type["Method"]] = {}
AnyMethod = TypeVar("AnyMethod", bound="type[Method]")


class Method(abc.ABC):
    """A method of sound separation with the config of one run.

    Attributes:
        name: The value of `config.method`.
        kinds: What its rounds of training train, by the names of `config.rounds`, in their order.
        has_recursion: Whether it separates one sound at a time, which counting and localisation need.

    Raises:
        InputError: A field of the config does not fit the method.
    """

    name: ClassVar[str]
    kinds: ClassVar[Mapping[str, RoundKind]]
    has_recursion: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.check()

    # Checks and results.

    def check(self) -> None:
        """Raises InputError where the config does not fit the method; its single fields are checked before."""
        settings.check_frame_net(self.config)
        try:
            _ = self.rounds
        except ValueError as error:
            raise InputError(f"config.{error}") from None

    def check_recursion(self, flag: str) -> None:
        """Raises InputError for a flag that needs a recursion where the method has none."""
        if not self.has_recursion:
            raise InputError(f"{flag} needs the recursion, and config.method={self.name} has none; leave it out")

    def check_classes(self, classes: Sequence[str], folder: Path) -> None:
        """Raises InputError where the method cannot be trained on a data set in `folder` with these classes."""
        if self.config.loss.class_weight:
            settings.check_class_count(self.config, classes, folder)

    def check_far_classes(self, classes: Sequence[str], trained: Sequence[str], folder: Path) -> None:
        """Raises InputError where networks trained on some classes cannot be evaluated on those of another data set."""
        del classes, trained, folder

    def check_processes(self, count: int) -> None:
        """Raises InputError where the method cannot share its training among several processes."""
        del count

    @functools.cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds of training, in their order."""
        rounds = plan_rounds(self.config.rounds.to_dict(), self.kinds)
        return tuple(each._replace(trained=settings.trained(self.config, each.trained)) for each in rounds)

    @property
    def results(self) -> tuple[str, ...]:
        """Names under which results report its networks, the main one last; checkpoints are named after them."""
        return tuple(dict.fromkeys(kind.result for kind in self.kinds.values()))

    def results_with(self, networks: Collection[str]) -> list[str]:
        """Returns the results of converted networks, such as "mnet", and "mpnet" if a Plus-Net is among them."""
        first = {kind.result: kind.trained for kind in reversed(tuple(self.kinds.values()))}
        return [result for result in self.results if result == self.results[0] or set(networks) & set(first[result])]

    def result_at(self, step: int) -> str:
        """Returns the result whose networks a step of training changed."""
        return round_of(self.rounds, step).result

    @property
    def start(self) -> str:
        """What the networks start from where the config names no other run, in one line."""
        return settings.start(self.config)

    # Plain values of the config.

    @functools.cached_property
    def axis(self) -> FrequencyAxis:
        """The frequency axis of the networks."""
        return settings.axis(self.config)

    @property
    def audio(self) -> AudioSpec:
        """The length of a sound window and its transform."""
        return specs.audio_spec(self.config)

    @functools.cached_property
    def data(self) -> DataSpec:
        """The data set."""
        return specs.data_spec(self.config)

    @functools.cached_property
    def evaluation(self) -> EvaluationSpec:
        """The fixed mixtures and the settings of an evaluation."""
        return specs.evaluation_spec(self.config)

    def flat_config(self) -> dict[str, Any]:
        """Returns the config as {"group.field": value}, as it is saved."""
        return check.flatten(self.config)

    # Networks and their state.

    @abc.abstractmethod
    def model(self) -> nn.Module:
        """Builds the networks, in evaluation form."""

    @abc.abstractmethod
    def model_inputs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Returns the shapes that the networks are initialised with."""

    @property
    def statistics_sets(self) -> Mapping[str, int]:
        """Number of sets of running statistics by network, where a network is run several times for one result."""
        return {}

    def initial_state(self) -> TrainState:
        """Returns the state at step 0, without an optimiser: a pure function of the config."""
        state = create_train_state(
            # XLA's own generator: JAX's default one, unrolled for every parameter, takes far longer to compile.
            jax.random.key(self.config.seed, impl="rbg"),
            self.model(),
            inputs=self.model_inputs(),
            statistics_sets=self.statistics_sets,
        )
        return state.with_networks(settings.with_pretrained_trunk(self.config, state.variables))

    def state_in(self, state: TrainState, each: Round) -> TrainState:
        """Returns a state at the start of a round, with a new optimiser state."""
        return state.with_optimiser(
            settings.optimiser(self.config, each),
            each.trained,
            averaged=self.config.optimiser.average_decay > 0,
        )

    def state_at(self, step: int) -> TrainState:
        """Returns an initial state with the optimiser of the round of a step: the shape of that step's checkpoint."""
        return self.state_in(self.initial_state(), round_of(self.rounds, step))

    def begin(self, state: TrainState, each: Round) -> TrainState:
        """Returns the (host) state that a round begins with, from the one that the round before it ended with."""
        return self.state_in(state, each)

    def started_from(self, state: TrainState) -> TrainState:
        """Returns a new (host) state with the networks of the run in `config.start_from`.

        Raises:
            InputError: There is no run, it has no checkpoint, or it is of another model.
        """
        variables = start_from.restored(Path(self.config.start_from), state.variables, self.results[::-1])
        return state.with_networks(variables)

    # Training.

    def keep_features(self, state: TrainState, stores: Mapping[str, Any]) -> None:
        """Lets training and validation read kept features of frames where the config asks for them.

        Args:
            state: The (host) state that training starts from; a frozen trunk stays as it is there.
            stores: The splits.

        Raises:
            InputError: Features cannot be kept.
        """
        if self.config.data.feature_seconds:
            settings.keep_features(self.config, self.frame_trunk(state), stores)

    def frame_trunk(self, state: TrainState) -> dict[str, Any]:
        """Returns parameters and running statistics of the frame network's trunk, by the kind of variables."""
        return self.trunk_in(state.variables)

    def trunk_in(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Returns the trunk's part of an evaluation pass's variables; see `completion`."""
        return {part: variables[part]["frame_net"]["trunk"] for part in ("params", "batch_stats")}

    @abc.abstractmethod
    def train_step(self, each: Round) -> Callable[..., Any]:
        """Builds the training step of a round, for one device."""

    def training_batches(self, workdir: Path, store: Any) -> Callable[..., Iterator[Any]]:
        """Returns the batches that the training steps take; of several processes, this one's share.

        Args:
            workdir: Folder of the run.
            store: The training split.

        Returns:
            A function of `first_step` to endless batches from that step on. Each batch is a pure function of config,
            data and its number.
        """
        from data_pipeline.loader import Sharding

        del workdir
        return functools.partial(
            self.mixtures_of(store),
            frames=self.data.frames,
            batch_size=self.config.batch_size,
            sharding=Sharding(*parallel.process_place()),
        )

    def mixtures_of(self, store: Any) -> Callable[..., Iterator[Any]]:
        """Returns `loader.training_batches` of a split, without its frames, batch size and first step."""
        # Imported here because it loads TensorFlow, which takes seconds; bad input is refused before.
        from data_pipeline.loader import training_batches

        return functools.partial(
            training_batches,
            store,
            audio=self.audio,
            mixing=self.data.mixing,
            seed=self.config.seed,
        )

    # Evaluation.

    @abc.abstractmethod
    def separate_step(self, result: str) -> Callable[..., Any]:
        """Builds the evaluation pass of one result's networks, for one device; see `separate_step.evaluation_step`."""

    def separate_steps(self, result: str) -> dict[str, Callable[..., Any]]:
        """Builds every evaluation pass of one result's networks, by reported name; `result` comes last."""
        return {result: self.separate_step(result)}

    def features_step(self) -> Callable[..., Any] | None:
        """Builds the pass whose `features` all evaluation passes can share; None where the trunk learns."""
        return settings.features_step(self.config) if settings.has_fixed_features(self.config) else None

    def completion(self, workdir: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Returns a function from variables on the devices to all that an evaluation pass needs.

        Args:
            workdir: Folder of the run, which may hold files that training made.

        Raises:
            InputError: Such a file is missing or cannot be read.
        """
        del workdir
        return lambda variables: variables

    def place_step(
        self,
        result: str,
        *,
        steps: int,
        place_side: int | None = None,
        mask: str | None = None,
        epsilon_relative: float | None = None,
        epsilon_absolute: float = 0.0,
        with_features: bool = False,
    ) -> Callable[..., Any]:
        """Builds the pass for real videos, whose places are the candidates, for one device.

        Args:
            result: The result whose networks run.
            steps: Greatest number of sounds.
            place_side: See `visual.place_vectors`; None takes the config's.
            mask: "binary" or "ratio"; None takes what the networks learnt.
            epsilon_relative: See `Rules`; None separates exactly `steps` sounds.
            epsilon_absolute: See `Rules`.
            with_features: See `place_step.make_place_step`.

        Raises:
            InputError: The method has no recursion.
        """
        del result, steps, place_side, mask, epsilon_relative, epsilon_absolute, with_features
        raise self._no_recursion()

    def count_step(self, result: str, *, mode: str) -> Callable[..., Any]:
        """Builds the pass that measures the remaining mixture after each sound, for one device.

        Args:
            result: The result whose networks run.
            mode: One of `count_step.MODES`: whether clips or places are the candidates.

        Raises:
            InputError: The method has no recursion.
        """
        del result, mode
        raise self._no_recursion()

    def _no_recursion(self) -> InputError:
        return InputError(f"config.method={self.name} has no recursion; take a run of config.method=mpnet")


def register(method: AnyMethod) -> AnyMethod:
    """Makes a method known under its name; used as a class decorator."""
    _REGISTERED[method.name] = method
    return method


def method_of(config: Config) -> Method:
    """Returns the method of a config, bound to it.

    Raises:
        InputError: The method is unknown, or a field does not fit it.
    """
    name = config.method
    shipped = [module.name for module in pkgutil.iter_modules(methods.__path__) if module.name not in _SHARED]
    if name not in _REGISTERED and name in shipped:
        importlib.import_module(f"{methods.__name__}.{name}")
    if name not in _REGISTERED:
        known = ", ".join(sorted({*shipped, *_REGISTERED}))
        raise InputError(f"config.method={name!r} is unknown; use one of {known}")
    return _REGISTERED[name](config)
