"""Tests the commands of the SLURM job, and when it queues itself again."""

import pytest

from tests.support.launch_scripts import FLAGS, ROOT, after, calls_shown, run


def test_slurm_shows_its_calls() -> None:
    step, requeue = calls_shown(run("slurm.sbatch", "--dry_run", *FLAGS, SLURM_JOB_ID="123"))
    assert step[0] == "srun" and "--cpus-per-task=32" in step and "JAX_PLATFORMS=cuda" in step
    assert after(step, "mpnet_jax.train") == [*FLAGS, "--distributed", "--coordinator=FIRST_HOST:20123"]
    assert requeue == ["scontrol", "requeue", "123"]


JOB = {"SLURM_JOB_ID": "123", "SLURM_JOB_NODELIST": "node[3-4]", "SLURM_SUBMIT_DIR": str(ROOT), "PYTHON": "python"}


@pytest.mark.parametrize(
    ("status", "requeued"), [(0, False), (1, False), (2, False), (134, True), (137, True), (138, True), (139, True)]
)
def test_slurm_requeues_after_a_lost_process_or_the_time_limit(status: int, requeued: bool, programs) -> None:
    programs.answer("scontrol show", "node3\nnode4\n")
    programs.answer("srun", statuses=(status,))
    assert programs.run("slurm.sbatch", *FLAGS, **JOB, SLURM_CPUS_PER_TASK="12").returncode == status
    hosts, step, *rest = programs.calls()
    assert hosts == ["scontrol", "show", "hostnames", "node[3-4]"]
    assert "--cpus-per-task=12" in step
    assert after(step, "mpnet_jax.train") == [*FLAGS, "--distributed", "--coordinator=node3:20123"]
    assert rest == ([["scontrol", "requeue", "123"]] if requeued else [])


@pytest.mark.parametrize(
    ("state", "requeued"),
    # Preemption with grace time, scancel, preemption without grace time.
    [("RUNNING", True), ("CANCELLED", False), ("PENDING", False)],
)
def test_slurm_requeues_after_a_preemption_with_grace_time(state, requeued, programs) -> None:
    programs.answer("scontrol show hostnames", "node3\n")
    programs.answer("scontrol show job 123", f"JobId=123\n   JobState={state} Reason=None\n")
    programs.answer("srun", statuses=(143,))
    assert programs.run("slurm.sbatch", **JOB).returncode == 143
    assert (["scontrol", "requeue", "123"] in programs.calls()) == requeued


@pytest.mark.parametrize("restarts", ["0", "3"])
def test_slurm_gives_up_after_many_restarts(restarts: str, programs) -> None:
    programs.answer("scontrol show", "node3\n")
    programs.answer("srun", statuses=(134,))
    done = programs.run("slurm.sbatch", **JOB, SLURM_RESTART_COUNT=restarts, MAX_RESTARTS=restarts)
    assert done.returncode == 134 and f"started again {restarts} times already" in done.stderr
    assert ["scontrol", "requeue", "123"] not in programs.calls()


def test_slurm_refuses_to_run_outside_a_job() -> None:
    refused = run("slurm.sbatch", *FLAGS)
    assert refused.returncode == 2 and "no SLURM job here; submit it with sbatch" in refused.stderr


def test_slurm_shows_the_calls_of_a_comparison() -> None:
    step, requeue = calls_shown(run("slurm_compare.sbatch", "--dry_run", *FLAGS, SLURM_JOB_ID="123"))
    assert step[0] == "srun" and "JAX_PLATFORMS=cpu" in step
    assert after(step, "mpnet_jax.compare") == [*FLAGS, "--cells=INDEX/COUNT"]
    assert requeue == ["scontrol", "requeue", "123"]


TASK = JOB | {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MAX": "31"}


@pytest.mark.parametrize(
    ("variables", "status", "share"),
    [({}, 0, "5/32"), ({}, 138, "5/32"), ({"COUNT": "40"}, 1, "5/40")],
)
def test_a_task_of_an_array_makes_its_share_of_the_cells(variables: dict, status: int, share: str, programs) -> None:
    programs.answer("srun", statuses=(status,))
    assert programs.run("slurm_compare.sbatch", *FLAGS, **(TASK | variables)).returncode == status
    step, *rest = programs.calls()
    assert after(step, "mpnet_jax.compare") == [*FLAGS, f"--cells={share}"]
    assert rest == ([["scontrol", "requeue", "123"]] if status == 138 else [])


def test_a_comparison_outside_an_array_is_refused() -> None:
    refused = run("slurm_compare.sbatch", *FLAGS)
    assert refused.returncode == 2 and "no SLURM array here; submit it with sbatch --array" in refused.stderr
