"""Optimisers and learning rates, by name."""

from collections.abc import Sequence

import optax


def learning_rate(
    name: str, *, peak: float, steps: int, warmup_steps: int, boundaries: Sequence[int]
) -> optax.Schedule:
    """The learning rate as a function of the step.

    Args:
        name: "steps" (times 0.1 at each boundary), "cosine" (to zero at the end) or "constant".
        peak: highest rate.
        steps: length of the run.
        warmup_steps: steps over which the rate rises linearly from zero.
        boundaries: for "steps" only.

    Returns:
        An optax schedule. Source: Sec. 4.2 for "steps".

    Raises:
        ValueError: an unknown name.
    """
    after_warmup = {
        "steps": lambda: optax.piecewise_constant_schedule(
            peak, {boundary - warmup_steps: 0.1 for boundary in boundaries}
        ),
        "cosine": lambda: optax.cosine_decay_schedule(peak, max(steps - warmup_steps, 1)),
        "constant": lambda: optax.constant_schedule(peak),
    }
    if name not in after_warmup:
        raise ValueError(f"schedule={name!r} is unknown; use one of {', '.join(after_warmup)}")
    rise = optax.linear_schedule(0.0, peak, max(warmup_steps, 1))
    return optax.join_schedules([rise, after_warmup[name]()], [warmup_steps])


def optimiser(
    name: str, schedule: optax.Schedule, *, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """An optimiser by name.

    Args:
        name: "sgd" (momentum, weight decay added to the gradient, the paper's), "adam" (no weight decay) or "adamw"
            (decoupled weight decay).
        schedule: learning rate.
        momentum: of sgd.
        weight_decay: of sgd and adamw.

    Returns:
        An optax transformation. Source: Sec. 4.2.

    Raises:
        ValueError: an unknown name.
    """
    by_name = {
        "sgd": lambda: optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum)),
        "adam": lambda: optax.adam(schedule),
        "adamw": lambda: optax.adamw(schedule, weight_decay=weight_decay),
    }
    if name not in by_name:
        raise ValueError(f"optimiser={name!r} is unknown; use one of {', '.join(by_name)}")
    return by_name[name]()
