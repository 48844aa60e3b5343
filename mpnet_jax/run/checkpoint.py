"""Saves and restores checkpoints with Orbax: the latest one, and the best one of each method."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from data_pipeline.command import InputError, command_line
from mpnet_jax.steps.learnt import merge
from mpnet_jax.steps.train_state import TrainState

# Orbax measures its timeouts by the system clock, which jumps when it is set and when a computer wakes from sleep. This
# one is longer than any jump, and the other one, for making folders, is not used.
_SAVE_TIMEOUT_S = 4_000_000_000
_MOST_OF_A_REASON = 120  # characters of Orbax's error
UNSCORED = -1e3  # dB; score of weights that were not validated, lower than any other


class Checkpoints:
    """The checkpoints of one workdir: `latest` to resume from, `best_<method>` to evaluate.

    Checkpoints are saved asynchronously. Each is written under a temporary name and renamed when it is complete, so a
    killed process leaves the previous one intact. The two latest ones are kept. Every process holds the complete state,
    so only the first process saves, and Orbax does not wait for the others.

    Attributes:
        workdir: Folder of the run.

    Args:
        workdir: Folder of the run.
        read_only: Do not create folders.
    """

    def __init__(self, workdir: Path, *, read_only: bool = False) -> None:
        self.workdir = workdir
        self._folder, self._read_only = workdir.resolve() / "checkpoints", read_only
        self._managers: dict[str, ocp.CheckpointManager] = {}

    def save(self, state: TrainState) -> None:
        """Starts to save a (host) state as the latest checkpoint, after waiting for the previous one."""
        step = int(state.step)
        manager = self._manager("latest")
        if step not in manager.all_steps():
            with self._full_disk_refused():
                manager.save(step, args=ocp.args.StandardSave(_as_dict(state)))

    def save_best(self, state: TrainState, score: float, *, method: str) -> None:
        """Starts to save a (host) state and its score as the best checkpoint of a method."""
        step, manager = int(state.step), self._manager(f"best_{method}")
        if step not in manager.all_steps():
            with self._full_disk_refused():
                manager.save(step, args=ocp.args.StandardSave(_as_dict(state)), metrics={"score": score})

    def best_score(self, method: str) -> float:
        """Returns the score of a method's best checkpoint, or minus infinity without one."""
        manager = self._manager(f"best_{method}")
        step = manager.latest_step()
        if step is None:
            return -np.inf
        metrics = manager.metrics(step)
        return -np.inf if metrics is None else float(metrics["score"])

    def step(self, kind: str) -> int | None:
        """Returns the step of the "latest" or a "best_<method>" checkpoint, or None without one."""
        return self._manager(kind).latest_step()

    def restore(self, template: TrainState, *, kind: str) -> TrainState:
        """Restores a state onto the host.

        Args:
            template: A state with the config's shapes in the round of the checkpoint's step.
            kind: "latest" or "best_<method>".

        Raises:
            InputError: There is no checkpoint, or it is damaged or of another model.
        """
        manager, step = self._existing(kind)
        wanted = _as_dict(template)
        saved = _saved_tree(manager, step)
        _refuse_other_model(_shapes(saved), _shapes(wanted), Path(manager.directory) / str(step))
        abstract = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), wanted)
        with _damage_refused(manager, step):
            restored = manager.restore(step, args=ocp.args.StandardRestore(abstract))
        # Orbax restores opt_state, a tree of tuples, in the template's structure.
        return TrainState(**restored)

    def restore_variables(
        self, template: dict[str, Any], *, kind: str, without: Collection[str] = ()
    ) -> dict[str, Any]:
        """Restores the networks onto the host, without the optimiser state, whose shape depends on the round.

        Args:
            template: {"params": by network, "batch_stats": by network} with the config's shapes.
            kind: "latest" or "best_<method>".
            without: Networks that the checkpoint may lack; they keep the template's values.

        Raises:
            InputError: There is no checkpoint, or it is damaged or of another model.
        """
        manager, step = self._existing(kind)
        saved = _saved_tree(manager, step)
        wanted = {
            part: {net: tree for net, tree in template[part].items() if net in saved[part] or net not in without}
            for part in ("params", "batch_stats")
        }
        if "average" in saved:  # running means of what the round trains
            wanted["average"] = {
                part: {net: {layer: template[part][net][layer] for layer in layers} for net, layers in nets.items()}
                for part, nets in saved["average"].items()
            }
        folder = Path(manager.directory) / str(step)
        _refuse_other_model(_shapes(saved), _shapes(wanted), folder)
        abstract = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), wanted)
        with _damage_refused(manager, step):
            restored = ocp.PyTreeCheckpointer().restore(
                folder / "default",
                args=ocp.args.PyTreeRestore(
                    item=abstract,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
                    partial_restore=True,
                ),
            )
        means = restored.pop("average", {})
        return {part: merge(template[part] | trees, means.get(part, {})) for part, trees in restored.items()}

    def _manager(self, kind: str) -> ocp.CheckpointManager:
        """Returns the manager of "latest" or "best_<method>", which is opened at its first use."""
        if kind not in self._managers:
            best: dict[str, Any] = {"max_to_keep": 1, "best_fn": lambda metrics: metrics["score"], "best_mode": "max"}
            self._managers[kind] = _open_manager(
                self._folder / kind, read_only=self._read_only, **({"max_to_keep": 2} if kind == "latest" else best)
            )
        return self._managers[kind]

    def _existing(self, kind: str) -> tuple[ocp.CheckpointManager, int]:
        manager = self._manager(kind)
        step = manager.latest_step()
        if step is None:
            training = command_line("mpnet_jax.train", "--config=CONFIG", f"--workdir={self._folder.parent}")
            raise InputError(f"no {kind} checkpoint in {manager.directory}; train first: {training}")
        return manager, step

    def wait(self) -> None:
        """Waits until everything is on disk."""
        with self._full_disk_refused():
            for manager in self._managers.values():
                manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is on disk, and closes the managers."""
        with self._full_disk_refused():
            for manager in self._managers.values():
                manager.close()

    @contextlib.contextmanager
    def _full_disk_refused(self) -> Iterator[None]:
        """Raises InputError where Orbax reports a full disk, perhaps of an earlier asynchronous save."""
        try:
            yield
        except ValueError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            folder, kept = self._folder / "latest", self.step("latest")
            raise InputError(
                f"cannot write a checkpoint to {folder}: no space is left on the disk; free some and give the same "
                f"command again, it goes on from {'the start' if kept is None else f'step {kept}'}"
            ) from None


def _open_manager(folder: Path, *, read_only: bool, **options: Any) -> ocp.CheckpointManager:
    """Opens the manager of one folder; it does not wait for other processes."""
    if not read_only:
        folder.mkdir(parents=True, exist_ok=True)
    this_process = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=folder.name,
    )
    return ocp.CheckpointManager(
        folder,
        item_handlers=ocp.StandardCheckpointHandler(multiprocessing_options=this_process),
        options=ocp.CheckpointManagerOptions(
            create=False,
            read_only=read_only,
            multiprocessing_options=this_process,
            async_options=ocp.options.AsyncOptions(
                timeout_secs=_SAVE_TIMEOUT_S, create_directories_asynchronously=False
            ),
            **options,
        ),
    )


@contextlib.contextmanager
def _damage_refused(manager: ocp.CheckpointManager, step: int) -> Iterator[None]:
    """Raises InputError where Orbax cannot read a checkpoint; its own errors have many types."""
    try:
        yield
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        folder = Path(manager.directory)
        earlier = [other for other in manager.all_steps() if other < step]
        if folder.name != "latest":
            remedy = "restore it from a copy or train again"
        else:
            begins = f"step {max(earlier)}" if earlier else "the start"
            remedy = f"move it away, and the same training goes on from {begins}"
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MOST_OF_A_REASON]
        raise InputError(
            f"checkpoint {folder / str(step)} is damaged and cannot be read ({reason}); {remedy}"
        ) from None


def _saved_tree(manager: ocp.CheckpointManager, step: int) -> Any:
    """Returns the shapes that a checkpoint holds; raises InputError where they cannot be read."""
    with _damage_refused(manager, step):
        metadata = manager.item_metadata(step)
        if metadata is None:
            raise ValueError("its metadata is missing")
        return metadata.tree


def _as_dict(state: TrainState) -> dict[str, Any]:
    parts = {
        "step": state.step,
        "params": state.params,
        "batch_stats": state.batch_stats,
        "opt_state": state.opt_state,
    }
    return parts | ({"average": state.average} if state.average else {})


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves if hasattr(leaf, "shape")}


def _refuse_other_model(saved: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    for name, shape in wanted.items():
        if (
            name.startswith(("['params']", "['batch_stats']"))
            and saved.get(name, shape if not saved else None) != shape
        ):
            raise InputError(
                f"checkpoint {folder} is of another model: {name} has shape {saved.get(name)} there and {shape} "
                "by the config; use the config that it was trained with"
            )
