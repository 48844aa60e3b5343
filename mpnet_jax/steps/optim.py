"""Optimisers and learning rate schedules, by name and by part of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from mpnet_jax.models.frame_net import HEAD_LAYERS
from mpnet_jax.steps.muon import muon

# Muon suits matrices between hidden layers. Adam trains the first and the last layer of each network, and depthwise
# kernels, which are no matrices.
_ADAM_LAYERS = ("down_0", "up_0", "conv_in", "conv", "class_head", "depthwise", *HEAD_LAYERS)


def learning_rate(
    name: str,
    *,
    peak: float,
    steps: int,
    warmup_steps: int,
    boundaries: Sequence[int],
    decay: float = 1.0,
    decay_steps: int = 1,
) -> optax.Schedule:
    """Returns the learning rate as a function of the step.

    Args:
        name: "steps" (times 0.1 at each boundary), "cosine" (to zero at the end), "exponential" or "constant".
        peak: Highest rate.
        steps: Length of the schedule in steps.
        warmup_steps: Steps over which the rate rises linearly from zero.
        boundaries: Steps at which the rate falls; for "steps" only.
        decay: Factor by which the rate is multiplied every `decay_steps` steps; for "exponential" only.
        decay_steps: See `decay`.

    Returns:
        An optax schedule. Source: Sec. 4.2 for "steps", the paper of MIML for "exponential".

    Raises:
        ValueError: The name is unknown.
    """
    after_warmup = {
        "steps": lambda: optax.piecewise_constant_schedule(
            peak, {boundary - warmup_steps: 0.1 for boundary in boundaries}
        ),
        "cosine": lambda: optax.cosine_decay_schedule(peak, max(steps - warmup_steps, 1)),
        "exponential": lambda: optax.exponential_decay(peak, decay_steps, decay, staircase=True),
        "constant": lambda: optax.constant_schedule(peak),
    }
    if name not in after_warmup:
        raise ValueError(f"schedule={name!r} is unknown; use one of {', '.join(after_warmup)}")
    rise = optax.linear_schedule(0.0, peak, max(warmup_steps, 1))
    return optax.join_schedules([rise, after_warmup[name]()], [warmup_steps])


def optimiser(
    name: str, schedule: optax.Schedule, *, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """Returns an optimiser by name.

    Args:
        name: "sgd" (with momentum, and weight decay added to the gradient; the paper's), "adam" (no weight decay),
            "adam_l2" (weight decay added to the gradient, as in PyTorch's Adam), "adamw" (decoupled weight decay) or
            "muon" (orthogonal updates of the kernels between hidden layers; all other parameters by AdamW with
            Nesterov's momentum).
        schedule: Learning rate.
        momentum: Momentum of "sgd".
        weight_decay: Weight decay of all but "adam".

    Returns:
        An optax transformation. Source: Sec. 4.2.

    Raises:
        ValueError: The name is unknown.
    """
    by_name = {
        "sgd": lambda: optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum)),
        "adam": lambda: optax.adam(schedule),
        "adam_l2": lambda: optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(schedule)),
        "adamw": lambda: optax.adamw(schedule, weight_decay=weight_decay),
        "muon": lambda: muon(schedule, weight_decay=weight_decay, is_matrix=_matrices),
    }
    if name not in by_name:
        raise ValueError(f"optimiser={name!r} is unknown; use one of {', '.join(by_name)}")
    return by_name[name]()


def by_part(
    name: str, schedule: optax.Schedule, *, scales: Mapping[str, float], momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """Returns an optimiser whose learning rate depends on the part of the model.

    Args:
        name: See `optimiser`.
        schedule: Learning rate.
        scales: Factor of the learning rate for "frame_trunk", "frame_head", "plus_net" and "minus_net"; the last one
            also holds for the sound networks of other methods.
        momentum: See `optimiser`.
        weight_decay: See `optimiser`.

    Returns:
        A transformation of trees {network: {layer: ...}}. Source: Sec. 4.2 (a tenth of the rate for the trunk).
    """

    def scaled(scale: float) -> optax.GradientTransformation:
        return optimiser(name, lambda step: scale * schedule(step), momentum=momentum, weight_decay=weight_decay)

    return optax.multi_transform({part: scaled(scale) for part, scale in scales.items()}, _parts)


def _matrices(params: Any) -> Any:
    """Returns whether Muon trains each parameter; a convolution sums over the kernel's places and its inputs."""

    def is_matrix(path: Any, leaf: Any) -> bool:
        return leaf.ndim > 1 and not (len(path) > 1 and path[-2].key in _ADAM_LAYERS)

    return jax.tree.map_with_path(is_matrix, params)


def _parts(params: Any) -> Any:
    """Returns the part that each parameter belongs to."""

    def part(path: Any, _: Any) -> str:
        net, layer = path[0].key, path[1].key
        if net == "class_head":
            return "frame_head"
        if net != "frame_net":
            return "plus_net" if net == "plus_net" else "minus_net"
        return "frame_head" if layer in HEAD_LAYERS else "frame_trunk"

    return jax.tree.map_with_path(part, params)
