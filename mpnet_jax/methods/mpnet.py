"""MP-Net: the Minus-Net and, in later rounds, the Plus-Net. Source: Sec. 3."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
from absl import logging

from data_pipeline.command import InputError
from mpnet_jax.config.check import plus_inputs
from mpnet_jax.config.rounds import Round, RoundKind
from mpnet_jax.methods import registry, settings
from mpnet_jax.models import transfer
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.recursion.candidates import ENERGIES
from mpnet_jax.recursion.minus_plus import Loop
from mpnet_jax.recursion.networks import WrittenEnergy, plus_sets
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.run import start_from
from mpnet_jax.steps.count_step import make_count_step
from mpnet_jax.steps.losses import Objective
from mpnet_jax.steps.place_step import Search, make_place_step
from mpnet_jax.steps.separate_step import make_separate_step
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import make_train_step

# Results name the Minus-Net alone "mnet", and both networks "mpnet".
_MNET, _MPNET = "mnet", "mpnet"


@registry.register
class MinusPlus(registry.Method):
    """MP-Net with three rounds: the Minus-Net, a Plus-Net on top of it, then both. Source: Sec. 3.4."""

    name = "mpnet"
    kinds: ClassVar = {
        "minus": RoundKind(("frame_net", "minus_net"), _MNET),
        "plus": RoundKind(("plus_net",), _MPNET),
        "both": RoundKind(("frame_net", "minus_net", "plus_net"), _MPNET),
    }
    has_recursion = True

    def check(self) -> None:
        """Raises InputError where the config does not fit; see `Method.check`."""
        super().check()
        config = self.config
        if self.rounds[0].name == "plus" and not config.start_from:
            raise InputError(
                "config.rounds.plus needs a trained M-Net; give rounds.minus some steps, or name a "
                "run's workdir in config.start_from"
            )
        if config.model.plus_start == "minus_net" and config.model.plus_features != config.model.unet_features:
            raise InputError(
                f"config.model.plus_start=minus_net takes weights of unet_features={config.model.unet_features}, and "
                f"plus_features={config.model.plus_features} does not fit them; give both the same value, or set "
                "plus_start to random"
            )
        if config.mixing.sources == 1 and self.with_plus:
            raise InputError(
                "config.mixing.sources=1 leaves nothing for the Plus-Net to add; set config.rounds.plus and .both to "
                "0, or take mixtures of at least 2 sources"
            )

        try:
            self.rules()
        except ValueError as error:
            raise InputError(f"config.recursion.{error}") from None
        if self.with_plus:
            self._check_plus_loss()

    def _check_plus_loss(self) -> None:
        """Raises InputError where the loss of the completed sounds does not fit the recursion or the data."""
        config = self.config
        shares = self._plus_distance in ("absolute", "cross_entropy")
        if config.loss.plus == "sum" and (not shares or config.recursion.plus_conserves):
            raise InputError(
                "config.loss.plus=sum compares M + M_r with the source's share; with loss.ratio_plus="
                f"{config.loss.ratio_plus}, loss.binary_plus={config.loss.binary_plus} or "
                "recursion.plus_conserves=True only effective has a meaning"
            )
        if self._plus_distance == "si_sdr" and config.mixing.truth != "magnitude":
            raise InputError(
                f"config.loss.ratio_plus=si_sdr needs whole sources; set config.mixing.truth="
                f"{config.mixing.truth} to magnitude (the SI-SDR takes the phase into account by itself)"
            )

    @property
    def _plus_distance(self) -> str:
        """Loss of the sounds after the Plus-Net; see `completion_loss`."""
        loss = self.config.loss
        if self.config.mask == "ratio":
            return loss.ratio_plus
        return "cross_entropy" if loss.binary_plus == "share" else loss.binary_plus

    @property
    def statistics_sets(self) -> Mapping[str, int]:
        """Number of sets of running statistics: one for each run of a network, or one for all of them."""
        config = self.config
        steps = config.mixing.sources if config.model.statistics_per_step else 1
        passes = config.recursion.plus_passes if config.model.statistics_per_step else 1
        return {"minus_net": steps, "plus_net": plus_sets(steps, passes)}

    @property
    def with_plus(self) -> bool:
        """Whether a round trains a Plus-Net."""
        return any("plus_net" in each.trained for each in self.rounds)

    def model(self) -> MPNet:
        """Builds the networks, in evaluation form; with a Plus-Net where a round trains one."""
        fields = self.config.model
        return MPNet(
            **settings.visual_fields(self.config),
            plus_features=fields.plus_features if self.with_plus else 0,
            plus_bias=fields.plus_bias,
            plus_inputs=plus_inputs(self.config),
            plus_looks=fields.plus_looks,
            stop_gradient_input=fields.stop_gradient_input,
        )

    def model_inputs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Returns the shapes that the networks are initialised with."""
        return settings.visual_inputs(self.config)

    def rules(self, *, epsilon_relative: float | None = None, epsilon_absolute: float = 0.0) -> Rules:
        """Returns the rules of the recursion.

        Args:
            epsilon_relative: See `Rules`. None runs every step, since all methods know the number of sounds (Sec. 4.2).
            epsilon_absolute: See `Rules`.
        """
        fields = self.config.recursion
        return Rules(
            mask_on=fields.mask_on,
            subtraction=fields.subtraction,
            subtracted=fields.subtracted,
            energy=WrittenEnergy(self.axis) if fields.energy == "written" else ENERGIES[fields.energy],
            floor=fields.floor,
            remainder=fields.remainder,
            plus_source=fields.plus_source,
            plus_conserves=fields.plus_conserves,
            plus_passes=fields.plus_passes,
            plus_threshold=self.config.evaluation.plus_threshold,
            epsilon_relative=epsilon_relative,
            epsilon_absolute=epsilon_absolute,
        )

    def begin(self, state: TrainState, each: Round) -> TrainState:
        """Returns the state that a round begins with; a new Plus-Net may begin as the trained Minus-Net."""
        if "plus_net" in each.trained and self.config.model.plus_start == "minus_net":
            statistics = state.batch_stats
            if transfer.has_learnt(statistics["minus_net"]) and not transfer.has_learnt(statistics["plus_net"]):
                looks = self.config.model.plus_looks
                logging.info("the Plus-Net begins as the Minus-Net%s", "" if looks else "'s U-Net")
                state = state.with_networks(transfer.plus_of_minus(state.variables, whole=looks))
        return self.state_in(state, each)

    def started_from(self, state: TrainState) -> TrainState:
        """Returns a state with the networks of another MP-Net or M-Net, or of a PixelPlayer as the Minus-Net.

        A Plus-Net that the other run does not have stays as it is.
        """
        folder, own = Path(self.config.start_from), state.variables
        if start_from.recorded_method(folder, default=self.name) == "pixelplayer":
            template = transfer.pixelplayer_shapes(own)
            found = transfer.mnet_of_pixelplayer(start_from.restored(folder, template, ("pixelplayer",)), own)
        else:
            found = start_from.restored(folder, own, (_MPNET, _MNET), without=("plus_net",))
        return state.with_networks(found)

    def train_step(self, each: Round) -> Callable[..., Any]:
        """Builds the training step of a round, for one device."""
        config = self.config
        return make_train_step(
            self.model(),
            settings.learning(config, each),
            axis_name=DEVICE_AXIS,
            axis=self.axis,
            rules=self.rules(),
            objective=Objective(
                mask=config.mask,
                distance=settings.distance(config),
                plus_distance=self._plus_distance,
                plus=config.loss.plus,
                remaining=config.loss.remaining,
                remaining_weight=config.loss.remaining_weight,
                index_ratio=config.loss.index_ratio,
                order=config.recursion.training_order,
                class_weight=config.loss.class_weight,
            ),
            loop=Loop(
                unroll={"auto": jax.default_backend() == "cpu", "yes": True, "no": False}[config.recursion.unroll],
                recompute=config.recursion.recompute,
            ),
        )

    def separate_step(self, result: str) -> Callable[..., Any]:
        """Builds the evaluation pass, without the Plus-Net for "mnet"."""
        return make_separate_step(
            self.model(),
            axis=self.axis,
            audio=self.audio,
            rules=self.rules(),
            mask=self.config.mask,
            with_plus=result == _MPNET,
        )

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
        """See `Method.place_step`; a single sound needs no Plus-Net, since there are no earlier sounds."""
        return make_place_step(
            self._at_places(place_side),
            axis=self.axis,
            audio=self.audio,
            rules=self.rules(epsilon_relative=epsilon_relative, epsilon_absolute=epsilon_absolute),
            mask=mask or self.config.mask,
            with_plus=result == _MPNET and steps > 1,
            search=Search(steps, self.config.recursion.neighbourhood, self._blank_last),
            with_features=with_features,
        )

    def count_step(self, result: str, *, mode: str) -> Callable[..., Any]:
        """See `Method.count_step`."""
        return make_count_step(
            self._at_places(None),
            axis=self.axis,
            rules=self.rules(),
            with_plus=result == _MPNET,
            neighbourhood=self.config.recursion.neighbourhood if mode == "pixels" else None,
            blank_last=self._blank_last,
        )

    @property
    def _blank_last(self) -> bool:
        """Whether blank places come last; only channels of a sigmoid can be compared with one half."""
        return self.config.recursion.blank_last and self.config.model.visual_activation == "sigmoid"

    def _at_places(self, place_side: int | None) -> MPNet:
        return self.model().clone(place_side=place_side or self.config.recursion.place_side)
