"""The calls that the TPU's launcher makes: a machine made, awaited, installed, followed and made anew."""

import shlex
import subprocess

import pytest

from tests.support.launch_scripts import FLAGS, TPU, NotingPrograms, after, calls_shown, run


def test_tpu_shows_everything_it_would_do() -> None:
    calls = calls_shown(run("tpu_vm.sh", "--dry_run", "all", *FLAGS, **TPU, SPOT="1", SHARE="10.0.0.2:/share"))
    assert calls[0][4:7] == ["create", "mpnet", "--accelerator-type=v5litepod-16"] and "--spot" in calls[0]
    assert calls[-1] == ["gcloud", "compute", "tpus", "tpu-vm", "delete", "mpnet", "--quiet", "--zone=us-central1-a"]
    (training,) = [word for call in calls for word in call if "tpu_worker.sh run" in word]
    remote = shlex.split(training.removeprefix("--command="))
    assert after(remote, "run")[1:3] == list(FLAGS)
    assert {"--distributed", "--coordinator=FIRST_WORKER:8476", "--process_count=COUNT"} < set(remote)


def test_tpu_waits_in_the_queue_where_asked() -> None:
    (call,) = calls_shown(run("tpu_vm.sh", "--dry_run", "create", **TPU, QUEUED="1"))
    assert call[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "mpnet"]


def test_tpu_tells_the_workers_where_the_first_is(programs) -> None:
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


def test_tpu_gives_the_training_no_empty_flag(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 0
    (remote,) = [word for word in programs.calls()[1] if word.startswith("--command=")]
    assert "" not in shlex.split(remote)


def test_tpu_is_made_anew_when_it_was_preempted(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1, 0))
    programs.answer("tpu-vm create", statuses=(1, 1, 0))  # none to be had for a while
    done = programs.run("tpu_vm.sh", "run", *FLAGS, **TPU, SPOT="1")
    assert done.returncode == 0, done.stderr
    assert "no TPU to be had now (2 of 100)" in done.stderr
    steps = [call[4] for call in programs.calls()]
    again = ["delete", "create"] * 3
    assert steps == ["describe", "ssh", "describe", *again, "scp", "ssh", "ssh", "ssh", "describe", "ssh"]


def test_tpu_stops_asking_for_another_one_day(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1,))
    programs.answer("tpu-vm create", statuses=(1,))
    done = programs.run("tpu_vm.sh", "run", **TPU, TRIES="2")
    assert done.returncode == 1 and "no TPU to be had now (2 of 2)" in done.stderr
    assert [call[4] for call in programs.calls()][3:] == ["delete", "create"] * 2


def test_tpu_is_not_installed_after_a_failed_copy(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "PREEMPTED\n")
    programs.answer("tpu_worker.sh run", statuses=(1,))
    programs.answer("tpu-vm scp", statuses=(3,))
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 3
    assert programs.calls()[-1][4] == "scp"


def test_tpu_that_is_gone_is_made_anew(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("tpu_worker.sh run", statuses=(255, 0))
    programs.answer("format=value(state)", statuses=(1,), error="ERROR: NOT_FOUND: Resource was not found\n")
    done = programs.run("tpu_vm.sh", "run", **TPU)
    assert done.returncode == 0 and "the TPU is GONE; making it anew (1 of 10)" in done.stderr
    assert "create" in [call[4] for call in programs.calls()]


@pytest.mark.parametrize("answer", [("REPAIRING\n", (0,)), ("", (1,)), ("UNKNOWN\n", (0,))])
def test_tpu_that_passes_or_cannot_be_asked_after_is_awaited(answer: tuple, programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("tpu_worker.sh run", statuses=(255,))
    programs.answer("format=value(state)", *answer, error="ERROR: connection reset\n")
    programs.seconds = 3.0
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run("tpu_vm.sh", "run", **TPU)
    steps = [call[4] for call in programs.calls()]
    assert steps.count("describe") > 3 and not {"delete", "create"} & set(steps)


def ids(programs: NotingPrograms) -> list[str]:
    """The ID of each training that the workers were asked for."""
    commands = [shlex.split(word) for call in programs.calls() for word in call if "tpu_worker.sh run" in word]
    return [after(command, "run")[0] for command in commands]


def test_tpu_follows_the_same_training_again_after_a_lost_connection(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "READY\n")
    programs.answer("tpu_worker.sh run", statuses=(255, 1, 75, 0))
    done = programs.run("tpu_vm.sh", "run", **TPU)
    assert done.returncode == 0, done.stderr
    first, second, third, other = ids(programs)
    assert first == second == third != other  # after a lost process all start again


def test_tpu_tells_an_error_of_the_training_from_one_of_the_connection(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "READY\n")
    programs.answer("tpu_worker.sh run", statuses=(70,))
    assert programs.run("tpu_vm.sh", "run", **TPU).returncode == 1
    assert len(ids(programs)) == 1


def test_tpu_is_not_deleted_before_the_training_has_come_to_its_end(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "READY\n")
    programs.answer("tpu_worker.sh run", statuses=(255,))
    ended = programs.run("tpu_vm.sh", "all", **TPU, RESTARTS="1")
    assert ended.returncode == 255 and "the TPU is still there and costs" in ended.stderr
    assert not [call for call in programs.calls() if "delete" in call]


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDED"])
def test_tpu_does_not_wait_in_the_queue_for_ever(state: str, programs) -> None:
    programs.answer("format=value(state.state)", f"{state}\n")
    ended = programs.run("tpu_vm.sh", "create", **TPU, QUEUED="1")
    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith(f"error: the queued resource mpnet is {state}; look why")


def test_tpu_is_there_when_the_queue_says_so(programs) -> None:
    programs.answer("format=value(state.state)", "ACTIVE\n")
    assert programs.run("tpu_vm.sh", "create", **TPU, QUEUED="1").returncode == 0
    assert len(programs.calls()) == 2


def test_tpu_does_not_try_again_what_failed_on_a_tpu_that_is_there(programs) -> None:
    programs.answer("networkEndpoints", "10.1.0.5\n")
    programs.answer("format=value(state)", "READY\n")
    programs.answer("tpu_worker.sh run", statuses=(2,))
    assert programs.run("tpu_vm.sh", "run", *FLAGS, **TPU).returncode == 2
    assert len(programs.calls()) == 3
