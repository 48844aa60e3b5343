import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from data_pipeline.spec import AudioSpec
from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.parallel import DEVICE_AXIS, parallel_step, replicate, shard, unreplicate
from mpnet_jax.recursion.candidates import mean_magnitude
from mpnet_jax.recursion.minus_plus import Loop
from mpnet_jax.recursion.networks import statistics_for_steps
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import frequency_axis
from mpnet_jax.steps import train_step
from mpnet_jax.steps.losses import Objective
from mpnet_jax.steps.separate_step import make_separate_step
from mpnet_jax.steps.train_state import TrainState, create_train_state
from mpnet_jax.steps.train_step import Learning, make_train_step, merge_statistics, training_order
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet

TRAINED = {name: kind.trained for name, kind in MinusPlus.kinds.items()}

SIZES = {
    "visual_channels": 2,
    "unet_depth": 2,
    "unet_features": 2,
    "frame_spec": FrameNetSpec(resnet_features=1),
}
AUDIO = AudioSpec(rate_hz=100, clip_samples=60, fft_samples=32, hop_samples=8)
ROWS, SOURCES, BATCH, SIDE = 8, 2, max(4, jax.device_count()), 16
FRAMES_SHAPE = (BATCH, SOURCES, 1, SIDE, SIDE, 3)
AXIS = frequency_axis("log", ROWS, AUDIO)
RATE = 0.05
STEPS = 8


def random_variables_of_sets(sets):
    frames, mixture = jnp.zeros(FRAMES_SHAPE, jnp.uint8), jnp.ones((BATCH, ROWS, AUDIO.time_frames))
    variables = random_variables(MPNet(**SIZES, plus_features=2), frames, mixture)
    statistics = variables["batch_stats"]
    for net, count in (("minus_net", sets), ("plus_net", sets - 1)):
        statistics[net] = jax.tree.map(lambda x, n=count: np.stack([x] * n), statistics[net])
    return variables


def state_of(variables, optimiser, round_name="minus"):
    state = TrainState(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], ())
    return state.with_optimiser(optimiser, TRAINED[round_name])


def random_batch(seed=0):
    rng = np.random.default_rng(seed)
    waves = rng.standard_normal((BATCH, SOURCES, AUDIO.clip_samples)) * rng.uniform(0.2, 2, (BATCH, SOURCES, 1))
    spectra = librosa.stft(
        waves,
        n_fft=AUDIO.fft_samples,
        hop_length=AUDIO.hop_samples,
        window="hann",
        center=True,
        pad_mode="reflect",
    )
    mixture = spectra.sum(1)
    return {
        "mixture_magnitude": np.abs(mixture),
        "mixture_phase": np.angle(mixture),
        "source_magnitude": np.abs(spectra),
        "frames": rng.integers(0, 256, FRAMES_SHAPE, dtype=np.uint8),
    }


def train_step_of(*, round_name="minus", **objective):
    return make_train_step(
        MPNet(**SIZES, plus_features=2),
        Learning(optax.sgd(RATE), TRAINED[round_name]),
        axis_name=DEVICE_AXIS,
        axis=AXIS,
        rules=Rules(),
        objective=Objective(**objective),
        loop=Loop(unroll=True),
    )


@pytest.fixture(scope="module", params=["short frame net", pytest.param("ResNet", marks=pytest.mark.slow)])
def runs(request):
    """Trains a step on one device, several on all devices and one by shard_map, in float64; returns states, metrics."""
    assert jax.device_count() >= 2
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        if request.param != "ResNet":
            patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        # In float32, rounding alone changes gradients of the recursion by up to 5e-3.
        variables = jax.tree.map(lambda x: x.astype(np.float64), random_variables_of_sets(SOURCES))
        start, batch = state_of(variables, optax.sgd(RATE)), random_batch()
        step = jax.pmap(train_step_of(), axis_name=DEVICE_AXIS, devices=jax.devices()[:1])
        whole = jax.tree.map(lambda x: jnp.asarray(x)[None], (start, batch))
        state, metrics = step(*whole)
        one = [unreplicate(whole[0]), unreplicate(state)], [unreplicate(metrics)]
        many = one[0][:1], []
        state, step = replicate(start), parallel_step(train_step_of())
        for _ in range(STEPS):
            state, metrics = step(state, shard(batch))
            many[0].append(unreplicate(state))
            many[1].append(unreplicate(metrics))
        return one, many, shard_mapped_step(start, batch)


def shard_mapped_step(state, batch):
    """Runs a step as `parallel` would without pmap: on a mesh with the same axis; the step itself stays as it is."""
    mesh = jax.make_mesh((jax.device_count(),), (DEVICE_AXIS,), axis_types=(AxisType.Auto,))
    whole, divided = PartitionSpec(), PartitionSpec(DEVICE_AXIS)
    step = jax.shard_map(
        train_step_of(), mesh=mesh, in_specs=(whole, divided), out_specs=(whole, whole), check_vma=False
    )
    return jax.device_get(jax.jit(step)(state, batch))


def assert_close(one, other, atol):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=1e-7, err_msg=jax.tree_util.keystr(path))


def test_all_devices_give_the_same_result_as_one_device(runs):
    (one, one_metrics), (many, many_metrics), _ = runs
    assert_close(one_metrics[0], many_metrics[0], 1e-10)
    # With plain gradient descent, the change of the parameters is proportional to the gradient.
    gradients = [jax.tree.map(lambda a, b: (a - b) / RATE, s[0].params, s[1].params) for s in (one, many)]
    assert max(np.abs(g).max() for g in jax.tree.leaves(gradients[0])) > 1e-3
    assert_close(*gradients, 1e-9)
    assert_close(one[1].batch_stats, many[1].batch_stats, 1e-10)


def test_shard_map_gives_the_same_step_as_pmap(runs):
    _, (states, metrics), (mapped_state, mapped_metrics) = runs
    assert_close(mapped_metrics, metrics[0], 1e-12)
    assert_close(mapped_state.params, states[1].params, 1e-12)
    assert_close(mapped_state.batch_stats, states[1].batch_stats, 1e-12)


def test_the_loss_of_one_batch_falls(runs):
    _, (states, metrics), _ = runs
    losses = [float(m["loss"]) for m in metrics]
    assert losses[-1] < 0.9 * losses[0]
    assert int(states[-1].step) == STEPS


def test_metrics_are_finite_and_add_up(runs):
    for metrics in runs[1][1]:
        assert set(metrics) == {"loss", "loss_minus", "loss_remaining", "gradient_norm"}
        assert all(np.isfinite(value) and value > 0 for value in metrics.values())
        assert float(metrics["loss"]) == pytest.approx(metrics["loss_minus"] + 0.1 * metrics["loss_remaining"])


def moved(one, other):
    """Returns whether all leaves of a tree changed, and whether any leaf changed."""
    distances = jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, other))
    return min(distances) > 0, max(distances) > 0


def test_only_the_parameters_of_the_round_are_trained(runs):
    _, (states, _), _ = runs
    for net in ("frame_net", "minus_net"):
        assert moved(states[0].params[net], states[-1].params[net])[0]
        assert moved(states[0].batch_stats[net], states[-1].batch_stats[net])[0]
    assert not moved(states[0].params["plus_net"], states[-1].params["plus_net"])[1]


def test_each_step_of_the_recursion_has_its_own_statistics(runs):
    _, (states, _), _ = runs
    before, after = (states[i].batch_stats["minus_net"]["norm_in"]["mean"] for i in (0, 1))
    assert before.shape == after.shape == (SOURCES, 1)
    assert before[0] == before[1] and abs(after[0] - after[1]) > 1e-3
    # The input of the second step is quieter, so the mean of its logarithm is lower.
    assert after[1] < after[0]


@pytest.mark.parametrize("round_name", ["plus", "both"])
def test_a_round_trains_its_networks_and_leaves_the_others_frozen(monkeypatch, round_name):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    start = state_of(random_variables_of_sets(SOURCES), optax.sgd(RATE), round_name)
    step = jax.jit(jax.vmap(train_step_of(round_name=round_name), in_axes=(None, 0), axis_name=DEVICE_AXIS))
    batch = {name: x if x.dtype == np.uint8 else x.astype(np.float32) for name, x in random_batch().items()}
    state, metrics = step(start, {name: x[None] for name, x in batch.items()})
    state = jax.tree.map(lambda x: x[0], state)
    assert set(metrics) == {"loss", "loss_minus", "loss_plus", "loss_remaining", "gradient_norm"}
    minus_weight = 1.0 if round_name == "both" else 0.0
    expected = minus_weight * metrics["loss_minus"] + metrics["loss_plus"] + 0.1 * metrics["loss_remaining"]
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    for net in TRAINED["both"]:
        learns = net in TRAINED[round_name]
        assert moved(start.params[net], state.params[net]) == (learns, learns), net
        assert moved(start.batch_stats[net], state.batch_stats[net]) == (learns, learns), net


@pytest.mark.parametrize("order", ["ground_truth", "predicted", "drawn"])
def test_training_passes_an_order_unless_it_is_predicted(monkeypatch, order):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    orders = []

    def spy(*args, order=None, **options):
        orders.append(order)
        return minus_plus(*args, order=order, **options)

    minus_plus = train_step.minus_plus
    monkeypatch.setattr(train_step, "minus_plus", spy)
    state = state_of(random_variables_of_sets(SOURCES), optax.sgd(RATE))
    new_state, _ = jax.eval_shape(
        jax.vmap(train_step_of(order=order), in_axes=(None, 0), axis_name=DEVICE_AXIS),
        state,
        shard(random_batch()),
    )
    assert [given is None for given in orders] == [order == "predicted"]
    assert jax.tree.map(lambda x: x.shape[1:], new_state) == jax.tree.map(jnp.shape, state)


def test_training_order():
    sources = jnp.array([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])[:, :, None, None] * jnp.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(training_order("ground_truth", sources, mean_magnitude), [[1, 2, 0], [2, 0, 1]])
    np.testing.assert_array_equal(training_order("drawn", sources, mean_magnitude), [[0, 1, 2]] * 2)


def test_initial_state_has_one_set_of_statistics_per_step():
    create = functools.partial(
        create_train_state,
        model=MPNet(**SIZES, plus_features=2),
        inputs=(
            jax.ShapeDtypeStruct(FRAMES_SHAPE, jnp.uint8),
            jax.ShapeDtypeStruct((BATCH, ROWS, AUDIO.time_frames), jnp.float32),
        ),
        statistics_sets={"minus_net": 3, "plus_net": 2},
    )
    state = jax.eval_shape(create, jax.random.key(0))
    reference = random_variables_of_sets(3)
    assert jax.tree.map(jnp.shape, state.params) == jax.tree.map(jnp.shape, reference["params"])
    assert jax.tree.map(jnp.shape, state.batch_stats) == jax.tree.map(jnp.shape, reference["batch_stats"])
    assert state.step.dtype == jnp.int32
    assert set(state.variables) == {"params", "batch_stats"}


def test_steps_after_the_last_set_use_the_last_set():
    sets = {"mean": jnp.array([[1.0], [2.0]])}
    np.testing.assert_array_equal(statistics_for_steps(sets, 4)["mean"], [[1.0], [2.0], [2.0], [2.0]])
    np.testing.assert_array_equal(statistics_for_steps(sets, 1)["mean"], [[1.0]])


def test_statistics_of_the_steps_are_merged():
    steps = {"mean": jnp.array([[1.0], [5.0]])}
    np.testing.assert_array_equal(merge_statistics(steps, 2)["mean"], [[1.0], [5.0]])
    np.testing.assert_array_equal(merge_statistics(steps, 1)["mean"], [[3.0]])


@pytest.fixture(scope="module")
def evaluation():
    run = jax.jit(
        make_separate_step(
            MPNet(**SIZES, plus_features=2),
            axis=AXIS,
            audio=AUDIO,
            rules=Rules(),
            mask="binary",
            with_plus=False,
        )
    )
    variables = random_variables_of_sets(SOURCES)

    def evaluate(batch):
        batch = {name: x if x.dtype == np.uint8 else x.astype(np.float32) for name, x in batch.items()}
        return jax.tree.map(np.asarray, run(variables, batch))

    return evaluate


def test_evaluation_thresholds_the_masks_of_the_remaining_mixture(evaluation):
    batch = random_batch()
    out = evaluation(batch)
    linear = batch["mixture_magnitude"][:, None]
    mixture = np.einsum("rf,bft->brt", AXIS.forth, batch["mixture_magnitude"])[:, None]
    assert np.array_equal(np.sort(out["step"], axis=1), [[0, 1]] * BATCH)
    first = out["step"] == 0
    np.testing.assert_allclose(
        out["before"][first], np.broadcast_to(mixture, out["before"].shape)[first], rtol=1e-4, atol=1e-5
    )
    left = (out["before"] - out["mask"] * out["before"])[first]
    np.testing.assert_allclose(out["before"][~first], left, rtol=1e-4, atol=1e-5)
    share = np.einsum("fr,bsrt->bsft", AXIS.back, np.minimum(out["before"] / mixture, 1))
    mask = np.einsum("fr,bsrt->bsft", AXIS.back, out["mask"])
    clear = np.abs(mask - 0.5) > 1e-4  # rounding decides the others
    np.testing.assert_allclose(out["magnitude"][clear], ((mask > 0.5) * share * linear)[clear], rtol=1e-3, atol=1e-4)


def test_evaluation_compares_with_the_true_masks(evaluation):
    batch = random_batch()
    out = evaluation(batch)
    sources, mixture = (
        np.einsum("rf,...ft->...rt", AXIS.forth, batch[f"{name}_magnitude"]) for name in ("source", "mixture")
    )
    true_mask = sources > 0.5 * mixture[:, None]
    np.testing.assert_array_equal(out["true_mask"], true_mask)
    linear_mask = np.einsum("fr,bsrt->bsft", AXIS.back, true_mask.astype(np.float32)) > 0.5
    np.testing.assert_allclose(
        out["oracle_magnitude"], linear_mask * batch["mixture_magnitude"][:, None], rtol=1e-5, atol=1e-5
    )


def test_evaluation_uses_the_phase_of_the_mixture(evaluation):
    batch = random_batch()
    out = evaluation(batch)
    for magnitude, waveform in (("magnitude", "waveform"), ("oracle_magnitude", "oracle_waveform")):
        expected = librosa.istft(
            out[magnitude] * np.exp(1j * batch["mixture_phase"])[:, None],
            n_fft=AUDIO.fft_samples,
            hop_length=AUDIO.hop_samples,
            window="hann",
            center=True,
            length=AUDIO.clip_samples,
        )
        assert out[waveform].shape == (BATCH, SOURCES, AUDIO.clip_samples)
        np.testing.assert_allclose(out[waveform], expected, atol=1e-4)


def test_a_result_does_not_depend_on_its_batch(evaluation):
    batch, other = random_batch(0), random_batch(1)
    mixed = {name: np.concatenate([x[:1], other[name][1:]]) for name, x in batch.items()}
    for name, value in evaluation(mixed).items():
        np.testing.assert_allclose(value[:1], evaluation(batch)[name][:1], rtol=1e-5, atol=1e-6, err_msg=name)
