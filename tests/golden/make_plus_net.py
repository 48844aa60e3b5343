"""Writes what MP-Net with the paper's Plus-Net computes: `python -m tests.golden.make_plus_net`; see PROVENANCE.md."""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("plus-net.npz")


def computed() -> dict[str, np.ndarray]:
    """Returns the outputs of a training step of round three and of the evaluation, on two and three sounds.

    `mpnet_jax.models.frame_net.ResNet18` must be replaced by `ShortFrameNet`.
    """
    import jax
    import jax.numpy as jnp
    import optax

    from data_pipeline.spec import AudioSpec
    from mpnet_jax.models.frame_net import FrameNetSpec
    from mpnet_jax.models.mpnet import MPNet
    from mpnet_jax.parallel import DEVICE_AXIS
    from mpnet_jax.recursion.minus_plus import Loop
    from mpnet_jax.recursion.rules import Rules
    from mpnet_jax.spectrogram.frequency import frequency_axis
    from mpnet_jax.steps.losses import Objective
    from mpnet_jax.steps.separate_step import make_separate_step
    from mpnet_jax.steps.train_state import TrainState
    from mpnet_jax.steps.train_step import Learning, make_train_step
    from tests.support.random_variables import random_variables

    audio = AudioSpec(rate_hz=100, clip_samples=60, fft_samples=32, hop_samples=8)
    axis = frequency_axis("log", 8, audio)
    model = MPNet(2, 1, 2, FrameNetSpec(resnet_features=1), plus_features=2)
    trained = ("frame_net", "minus_net", "plus_net")
    rng = np.random.default_rng(0)
    magnitude = rng.gamma(0.5, 1.0, (2, 3, audio.freq_bins, audio.time_frames)).astype(np.float32)
    frames = rng.integers(0, 256, (2, 3, 1, 16, 16, 3), dtype=np.uint8)
    phase = rng.uniform(-np.pi, np.pi, magnitude[:, 0].shape).astype(np.float32)

    def batch(sources: int) -> dict[str, np.ndarray]:
        own = magnitude[:, :sources]
        mixed = {"mixture_magnitude": own.sum(1), "mixture_phase": phase, "source_magnitude": own}
        return mixed | {"frames": frames[:, :sources]}

    variables = random_variables(model, jnp.asarray(frames), jnp.ones((2, 8, audio.time_frames)))
    for net, sets in (("minus_net", 2), ("plus_net", 1)):
        statistics = variables["batch_stats"]
        statistics[net] = jax.tree.map(lambda x, n=sets: np.stack([x] * n), statistics[net])
    optimiser = optax.sgd(0.05)
    step = make_train_step(
        model,
        Learning(optimiser, trained),
        axis_name=DEVICE_AXIS,
        axis=axis,
        rules=Rules(),
        objective=Objective(mask="ratio", distance="absolute", plus_distance="absolute"),
        loop=Loop(unroll=True),
    )
    state = TrainState(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], ())
    run = jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS))
    state, metrics = run(state.with_optimiser(optimiser, trained), {name: x[None] for name, x in batch(2).items()})
    leaves = jax.tree.leaves({"params": state.params, "batch_stats": state.batch_stats})
    found = {"training/state": np.concatenate([np.ravel(leaf) for leaf in leaves])}
    found |= {f"training/{name}": np.asarray(value[0]) for name, value in metrics.items()}
    for mask, rules in (("binary", Rules()), ("ratio", Rules()), ("ratio", Rules("original", subtracted="final"))):
        separate = make_separate_step(model, axis=axis, audio=audio, rules=rules, mask=mask, with_plus=True)
        out = jax.jit(separate)(variables, batch(3))
        found |= {f"{mask}/{rules.mask_on}/{name}": np.asarray(out[name]) for name in ("waveform", "mask", "step")}
    return found


if __name__ == "__main__":
    import tests.conftest  # noqa: F401 (sets the compiler's options)
    from mpnet_jax.models import frame_net
    from tests.support.short_frame_net import ShortFrameNet

    frame_net.ResNet18 = ShortFrameNet  # pyright: ignore[reportAttributeAccessIssue]
    np.savez_compressed(FILE, **computed())  # pyright: ignore[reportArgumentType]
