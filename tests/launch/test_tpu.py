"""Tests the commands of the TPU launcher: create, wait, install, follow and create again."""

import shlex
import subprocess

import pytest

from tests.support.launch_scripts import FLAGS, TPU, NotingPrograms, after, calls_shown, run


@pytest.fixture
def programs(programs: NotingPrograms) -> NotingPrograms:
    """Programs that answer as for a ready TPU with one worker."""
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "READY\n")
    return programs


def test_tpu_dry_run_shows_all_commands() -> None:
    calls = calls_shown(run("tpu_vm.sh", "--dry_run", "all", *FLAGS, **TPU, SPOT="1", SHARE="10.0.0.2:/share"))
    assert calls[0][4:7] == ["create", "mpnet", "--accelerator-type=v5litepod-16"] and "--spot" in calls[0]
    assert calls[-1] == ["gcloud", "compute", "tpus", "tpu-vm", "delete", "mpnet", "--quiet", "--zone=us-central1-a"]
    (training,) = [word for call in calls for word in call if "tpu_worker.sh run" in word]
    remote = shlex.split(training.removeprefix("--command="))
    assert after(remote, "run")[1:3] == list(FLAGS)
    assert {"--distributed", "--coordinator=FIRST_WORKER:8476", "--process_count=COUNT"} < set(remote)


def test_tpu_creates_a_queued_resource() -> None:
    (call,) = calls_shown(run("tpu_vm.sh", "--dry_run", "create", **TPU, QUEUED="1"))
    assert call[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "mpnet"]


def test_tpu_gives_the_workers_the_coordinator(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5;10.1.0.6;10.1.0.7\n")
    done = programs.run("tpu_vm.sh", "run", *FLAGS, **TPU)
    assert done.returncode == 0, done.stderr
    _, training = programs.calls()
    assert "--worker=all" in training
    remote = shlex.split(next(word for word in training if word.startswith("--command=")))
    assert after(remote, "run")[1:] == [
        *FLAGS,
        "--distributed",
        "--coordinator=10.1.0.5:8476",
        "--process_count=3",
    ]


def test_tpu_passes_no_empty_flag(programs) -> None:
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 0
    (remote,) = [word for word in programs.calls()[1] if word.startswith("--command=")]
    assert "" not in shlex.split(remote)


def test_tpu_is_created_again_after_a_preemption(programs) -> None:
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1, 0))
    programs.answer("tpu-vm create", statuses=(1, 1, 0))  # no capacity for a while
    done = programs.run("tpu_vm.sh", "run", *FLAGS, **TPU, SPOT="1")
    assert done.returncode == 0, done.stderr
    assert "no TPU available now (2 of 100)" in done.stderr
    steps = [call[4] for call in programs.calls()]
    again = ["delete", "create"] * 3
    assert steps == ["describe", "ssh", "describe", *again, "scp", "ssh", "ssh", "ssh", "describe", "ssh"]


def test_tpu_gives_up_after_some_tries(programs) -> None:
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1,))
    programs.answer("tpu-vm create", statuses=(1,))
    done = programs.run("tpu_vm.sh", "run", **TPU, TRIES="2")
    assert done.returncode == 1 and "no TPU available now (2 of 2)" in done.stderr
    assert [call[4] for call in programs.calls()][3:] == ["delete", "create"] * 2


def test_tpu_is_not_installed_after_a_failed_copy(programs) -> None:
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1,))
    programs.answer("tpu-vm scp", statuses=(3,))
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 3
    assert programs.calls()[-1][4] == "scp"


def test_tpu_that_no_longer_exists_is_created_again(programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(255, 0))
    programs.answer("format=value(state)", statuses=(1,), error="ERROR: NOT_FOUND: Resource was not found\n")
    done = programs.run("tpu_vm.sh", "run", **TPU)
    assert done.returncode == 0 and "the TPU is GONE; creating a new one (1 of 10)" in done.stderr
    assert "create" in [call[4] for call in programs.calls()]


@pytest.mark.parametrize("answer", [("REPAIRING\n", (0,)), ("", (1,)), ("UNKNOWN\n", (0,))])
def test_tpu_with_a_passing_or_unknown_state_is_polled(answer: tuple, programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(255,))
    programs.answer("format=value(state)", *answer, error="ERROR: connection reset\n")
    programs.seconds = 3.0
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run("tpu_vm.sh", "run", **TPU)
    steps = [call[4] for call in programs.calls()]
    assert steps.count("describe") > 3 and not {"delete", "create"} & set(steps)


def ids(programs: NotingPrograms) -> list[str]:
    """Returns the ID of each training that the workers were asked to run."""
    commands = [shlex.split(word) for call in programs.calls() for word in call if "tpu_worker.sh run" in word]
    return [after(command, "run")[0] for command in commands]


def test_tpu_follows_the_same_training_after_a_lost_connection(programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(255, 1, 134, 0))
    done = programs.run("tpu_vm.sh", "run", **TPU)
    assert done.returncode == 0, done.stderr
    first, second, third, other = ids(programs)
    assert first == second == third != other  # after a lost process all are restarted


def test_tpu_distinguishes_errors_of_training_and_connection(programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(70,))
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 1
    assert len(ids(programs)) == 1


def test_tpu_is_not_deleted_before_the_training_is_complete(programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(255,))
    ended = programs.run("tpu_vm.sh", "all", **TPU, RESTARTS="1")
    assert ended.returncode == 255 and "the TPU still exists and costs money" in ended.stderr
    assert not [call for call in programs.calls() if "delete" in call]


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDED"])
def test_tpu_stops_waiting_for_a_failed_queued_resource(state: str, programs) -> None:
    programs.answer("format=value(state.state)", f"{state}\n")
    ended = programs.run("tpu_vm.sh", "create", **TPU, QUEUED="1")
    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith(f"error: the queued resource mpnet is {state}; look why")


def test_tpu_is_created_when_the_queued_resource_is_active(programs) -> None:
    programs.answer("format=value(state.state)", "ACTIVE\n")
    assert programs.run("tpu_vm.sh", "create", **TPU, QUEUED="1").returncode == 0
    assert len(programs.calls()) == 2


def test_tpu_does_not_repeat_a_failed_training(programs) -> None:
    programs.answer("tpu_worker.sh run", statuses=(2,))
    assert programs.run("tpu_vm.sh", "run", *FLAGS, **TPU).returncode == 2
    assert len(programs.calls()) == 3
