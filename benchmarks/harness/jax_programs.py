"""Our programs for a worker: the training step of `mpnet_jax.train`, and its networks alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.program import MATRIX_SIDE, PICTURES, Program
from benchmarks.harness.sizes import size_config, synthetic_batch
from mpnet_jax import parallel
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.mpnet import MPNet


def build(size: str, part: str) -> Program:
    """Builds one of `program.PARTS` at a size."""
    config = size_config(size)
    return _step(config) if part == "step" else _network(config, part)


def matmul() -> Program:
    """Builds a square matrix product in float32."""
    a = jnp.asarray(np.random.default_rng(0).standard_normal((MATRIX_SIDE, MATRIX_SIDE), np.float32))
    compiled = jax.jit(jnp.matmul).lower(a, a).compile()
    return _program(compiled, lambda: jax.block_until_ready(compiled(a, a)))


def _step(config: Config) -> Program:
    """Builds the step of the first round: `pmap`, donated state, batch on the device."""
    method = method_of(config)
    each = method.rounds[0]
    state = parallel.replicate(method.state_at(0))
    batch = parallel.parallel_map(lambda batch: batch)(parallel.shard(synthetic_batch(config)))
    mapped: Any = parallel.parallel_step(method.train_step(each))
    step = mapped.lower(state, batch).compile()
    kept = [state]  # the step donates its state, so the result is the next argument

    def run() -> object:
        kept[0], metrics = jax.block_until_ready(step(kept[0], batch))
        return metrics

    return _program(step, run)


def _network(config: Config, part: str) -> Program:
    """Builds one network: its forward pass, or the gradient of its mean square output."""
    model = method_of(config).model().clone(train=True)
    rng = np.random.default_rng(0)
    if part == "frame_net":
        side = config.frames.crop_px
        inputs = rng.standard_normal((PICTURES, side, side, 3), np.float32)
        network = _look_at
    else:
        shape = (config.batch_size, config.audio.frequency_rows, audio_spec(config).time_frames)
        inputs = np.exp(rng.standard_normal(shape, np.float32))
        network = MPNet.listen
    inputs = jnp.asarray(inputs)
    variables = jax.jit(lambda key: model.init(key, inputs, method=network))(jax.random.key(0, impl="rbg"))

    def forward(params: Any, inputs: jax.Array) -> jax.Array:
        statistics = {"batch_stats": variables["batch_stats"]}
        return model.apply({"params": params} | statistics, inputs, method=network, mutable=["batch_stats"])[0]

    def gradient(params: Any, inputs: jax.Array) -> Any:
        return jax.grad(lambda params: jnp.mean(jnp.square(forward(params, inputs))))(params)

    function = forward if part == "unet_forward" else gradient
    compiled = jax.jit(function).lower(variables["params"], inputs).compile()
    return _program(compiled, lambda: jax.block_until_ready(compiled(variables["params"], inputs)))


def _look_at(model: MPNet, pictures: jax.Array) -> jax.Array:
    network: Any = model.frame_net
    return network(pictures)


def _program(compiled: Any, run: Any) -> Program:
    """Adds XLA's figures for the compiled program."""
    memory = compiled.memory_analysis()
    kinds = ("temp", "argument", "output", "alias", "generated_code")
    sizes = {kind: getattr(memory, f"{kind}_size_in_bytes") for kind in kinds}
    return Program(run, compiled.cost_analysis()["flops"] / 1e9, sizes)
