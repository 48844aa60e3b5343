"""Every launcher's dry run, what it refuses, and the calls it makes of programs that are not here."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.launch.scripts import LAUNCH, ROOT, NotingPrograms, run

PARTS = ("say_or_do.sh", "tpu_worker.sh")  # which the others call
SCRIPTS = sorted(path.name for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch") and path.name not in PARTS)
SHELLCHECK = Path(sys.executable).parent / "shellcheck"
FLAGS = ("--config=my configs/a.py", "--workdir=/share/my \"runs\"/$(HOME) & 'a'")
TPU = {"NAME": "mpnet", "ZONE": "us-central1-a", "PAUSE": "0"}
KUBERNETES = {"IMAGE": "registry/mpnet_jax:1", "CLAIM": "share"}


@pytest.fixture
def programs(tmp_path: Path) -> NotingPrograms:
    folder = tmp_path / "programs"
    folder.mkdir()
    return NotingPrograms(folder, "gcloud", "kubectl", "srun", "scontrol", "nvidia-smi", "python")


def calls_shown(shown: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The calls of a dry run as a shell would read them."""
    assert shown.returncode == 0, shown.stderr
    return [shlex.split(line) for line in shown.stdout.splitlines() if not line.startswith("#")]


def after(words: list[str], word: str) -> list[str]:
    return words[words.index(word) + 1 :]


def manifests(text: str) -> tuple[dict, dict]:
    service, job = yaml.safe_load_all(text)
    return service, job


@pytest.mark.parametrize("script", [*SCRIPTS, *PARTS])
def test_has_no_flaw_that_shellcheck_finds(script: str) -> None:
    if not SHELLCHECK.is_file():
        pytest.skip("no shellcheck beside this Python; pip install -e '.[dev]' brings it")
    checked = subprocess.run(
        [SHELLCHECK, "--external-sources", LAUNCH / script], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_stops_at_the_first_error_and_says_what_it_is(script: str) -> None:
    text = (LAUNCH / script).read_text()
    assert "\nset -euo pipefail\n" in text
    head = text[: text.index("set -euo pipefail")]
    assert "--dry_run" in head and head.count("\n#") > 8  # how to call it, and every variable


def test_an_old_bash_is_refused_in_one_sentence(tmp_path: Path) -> None:
    # No script can set the number of its own bash, so that of a variable beside it stands in.
    old = tmp_path / "say_or_do.sh"
    old.write_text((LAUNCH / "say_or_do.sh").read_text().replace("BASH_VERSINFO", "OLD"))
    for version, status in (("(3 2)", 2), ("(4 3)", 2), ("(4 4)", 0), ("(5 0)", 0)):
        done = subprocess.run(
            ["bash", "-c", f"OLD={version}; . {old}"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert ("is too old; take 4.4 or later" in done.stderr) == (status == 2)


def test_local_shows_a_process_each() -> None:
    calls = calls_shown(run("local.sh", "--dry_run", *FLAGS, PROCESSES="3", DEVICES="4", PORT="9000"))
    assert len(calls) == 3
    for index, call in enumerate(calls):
        assert "XLA_FLAGS=--xla_force_host_platform_device_count=4" in call
        assert after(call, "mpnet_jax.train") == [
            *FLAGS,
            "--distributed",
            "--coordinator=127.0.0.1:9000",
            f"--process_index={index}",
            "--process_count=3",
        ]


def test_local_starts_all_again_after_a_loss_and_no_more_often_than_told(tmp_path: Path, programs) -> None:
    programs.answer("--process_index=0", statuses=(75, 75, 0))
    programs.answer("--process_index=1", statuses=(137, 75, 0))
    done = programs.run("local.sh", *FLAGS, PYTHON="python", RESTARTS="2")
    assert done.returncode == 0, done.stderr
    assert "a process was lost; all start again (2 of 2)" in done.stderr
    assert len(programs.calls()) == 6
    programs.answer("--distributed", statuses=(75,))
    assert programs.run("local.sh", PYTHON="python", RESTARTS="1").returncode == 75


def test_local_does_not_start_again_after_bad_input(programs) -> None:
    programs.answer("--process_index=0", statuses=(75,))
    programs.answer("--process_index=1", statuses=(2,))
    assert programs.run("local.sh", PYTHON="python").returncode == 2
    assert len(programs.calls()) == 2


def test_gpu_shows_one_process_that_may_not_fall_back_to_the_cpu() -> None:
    (call,) = calls_shown(run("gpu.sh", "--dry_run", *FLAGS, GPUS="0,3"))
    assert {"JAX_PLATFORMS=cuda", "CUDA_VISIBLE_DEVICES=0,3"} < set(call)
    assert after(call, "mpnet_jax.train") == list(FLAGS)


def test_gpu_runs_where_there_is_one(programs) -> None:
    assert programs.run("gpu.sh", *FLAGS, PYTHON="python").returncode == 0
    assert programs.calls() == [["nvidia-smi", "--list-gpus"], ["python", "-m", "mpnet_jax.train", *FLAGS]]


def test_gpu_refuses_a_machine_without_one(programs) -> None:
    programs.answer("nvidia-smi", statuses=(9,))
    refused = programs.run("gpu.sh", PYTHON="python")
    assert refused.returncode == 2
    assert "nvidia-smi finds no GPU on this machine; launch/local.sh trains on the CPU" in refused.stderr


def test_slurm_shows_its_calls() -> None:
    step, requeue = calls_shown(run("slurm.sbatch", "--dry_run", *FLAGS, SLURM_JOB_ID="123"))
    assert step[0] == "srun" and "--cpus-per-task=32" in step and "JAX_PLATFORMS=cuda" in step
    assert after(step, "mpnet_jax.train") == [*FLAGS, "--distributed", "--coordinator=FIRST_HOST:20123"]
    assert requeue == ["scontrol", "requeue", "123"]


JOB = {"SLURM_JOB_ID": "123", "SLURM_JOB_NODELIST": "node[3-4]", "SLURM_SUBMIT_DIR": str(ROOT), "PYTHON": "python"}


@pytest.mark.parametrize(
    ("status", "queued_again"), [(0, False), (1, False), (2, False), (75, True), (134, True), (138, True), (139, True)]
)
def test_slurm_queues_itself_again_after_a_loss_or_its_time(status: int, queued_again: bool, programs) -> None:
    programs.answer("scontrol show", "node3\nnode4\n")
    programs.answer("srun", statuses=(status,))
    assert programs.run("slurm.sbatch", *FLAGS, **JOB, SLURM_CPUS_PER_TASK="12").returncode == status
    hosts, step, *rest = programs.calls()
    assert hosts == ["scontrol", "show", "hostnames", "node[3-4]"]
    assert "--cpus-per-task=12" in step
    assert after(step, "mpnet_jax.train") == [*FLAGS, "--distributed", "--coordinator=node3:20123"]
    assert rest == ([["scontrol", "requeue", "123"]] if queued_again else [])


@pytest.mark.parametrize(
    ("state", "queued_again"),
    [("RUNNING", True), ("CANCELLED", False), ("PENDING", False)],  # a preemption with grace, scancel, one without
)
def test_slurm_queues_itself_again_when_it_saved_before_the_end_of_a_grace(state, queued_again, programs) -> None:
    programs.answer("scontrol show hostnames", "node3\n")
    programs.answer("scontrol show job 123", f"JobId=123\n   JobState={state} Reason=None\n")
    programs.answer("srun", statuses=(143,))
    assert programs.run("slurm.sbatch", **JOB).returncode == 143
    assert (["scontrol", "requeue", "123"] in programs.calls()) == queued_again


def test_slurm_gives_up_at_once_where_told(programs) -> None:
    programs.answer("scontrol show", "node3\n")
    programs.answer("srun", statuses=(75,))
    given_up = programs.run("slurm.sbatch", **JOB, MAX_RESTARTS="0")
    assert given_up.returncode == 75 and "started again 0 times already" in given_up.stderr


def test_slurm_gives_up_after_many_restarts(programs) -> None:
    programs.answer("scontrol show", "node3\n")
    programs.answer("srun", statuses=(75,))
    given_up = programs.run("slurm.sbatch", **JOB, SLURM_RESTART_COUNT="3", MAX_RESTARTS="3")
    assert given_up.returncode == 75 and "started again 3 times already" in given_up.stderr
    assert ["scontrol", "requeue", "123"] not in programs.calls()


def test_slurm_refuses_to_run_outside_a_job() -> None:
    refused = run("slurm.sbatch", *FLAGS)
    assert refused.returncode == 2 and "no SLURM job here; submit it with sbatch" in refused.stderr


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


def test_kubernetes_template_is_yaml() -> None:
    service, job = manifests((LAUNCH / "kubernetes.yaml").read_text())
    assert (service["kind"], job["kind"]) == ("Service", "Job")


def test_kubernetes_shows_a_job_of_one_pod_a_host() -> None:
    shown = run("kubernetes.sh", "--dry_run", "apply", *FLAGS, **KUBERNETES, HOSTS="4", GPUS="2", NAME="my-run")
    assert shown.returncode == 0, shown.stderr
    service, job = manifests(shown.stdout)
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    assert (pod["subdomain"], pod["restartPolicy"]) == ("my-run", "Never")
    (container,) = pod["containers"]
    assert container["args"] == [
        *(flag.replace("$(", "$$(") for flag in FLAGS),  # Kubernetes would put a variable in its place
        "--distributed",
        "--coordinator=my-run-0.my-run:8476",
        "--process_count=4",
        "--meeting_seconds=1800",
    ]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert {"name": "JAX_PLATFORMS", "value": "cuda"} in container["env"]
    assert pod["securityContext"] == {"fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"}
    assert spec["backoffLimit"] == 6 * 4
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert "${" not in shown.stdout


def test_kubernetes_without_gpus_trains_on_the_cpu() -> None:
    _, job = manifests(run("kubernetes.sh", "--dry_run", "apply", **KUBERNETES, GPUS="0").stdout)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "JAX_PLATFORMS", "value": "cpu"} in container["env"]


def test_kubernetes_shows_all_that_the_first_said() -> None:
    (call,) = calls_shown(run("kubernetes.sh", "--dry_run", "logs"))
    assert {"--follow", "--tail=-1", "--max-log-requests=100"} < set(call)


def test_the_image_has_places_for_caches_and_finds_the_driver() -> None:
    words = (LAUNCH / "Dockerfile").read_text().split()
    assert {"HOME=/tmp/home", "NUMBA_CACHE_DIR=/tmp/numba"} < set(words)
    assert {"LD_LIBRARY_PATH=/usr/local/nvidia/lib64", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} < set(words)


def test_the_image_takes_in_nothing_that_git_does_not_keep() -> None:
    left_out = {line.strip("/").removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line[:1] not in ("#", "")}
    assert {name for name in ignored if not name.startswith("results/")} < left_out
    assert {".git", "results"} < left_out


def test_kubernetes_tells_preemption_from_failure() -> None:
    _, job = manifests(run("kubernetes.sh", "--dry_run", "apply", **KUBERNETES).stdout)
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_status = {v: rule["action"] for rule in rules if "onExitCodes" in rule for v in rule["onExitCodes"]["values"]}
    assert by_status == {2: "FailJob", 75: "Ignore", 143: "Ignore"}
    (disruption,) = [rule for rule in rules if "onPodConditions" in rule]
    assert disruption == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 60


def test_kubernetes_hands_the_same_to_kubectl(programs) -> None:
    shown = run("kubernetes.sh", "--dry_run", "apply", *FLAGS, **KUBERNETES)
    assert programs.run("kubernetes.sh", "apply", *FLAGS, **KUBERNETES).returncode == 0
    assert programs.run("kubernetes.sh", "delete", NAME="my-run").returncode == 0
    assert programs.calls() == [
        ["kubectl", "apply", "--filename=-"],
        ["kubectl", "delete", "job/my-run", "service/my-run"],
    ]
    assert manifests(programs.inputs()[0] or "") == manifests(shown.stdout)


@pytest.mark.parametrize(
    ("script", "variables", "step", "sentence"),
    [
        ("local.sh", {"PROCESSES": "two"}, (), "PROCESSES=two must be a whole number of at least 1"),
        ("local.sh", {"PROCESSES": "0"}, (), "PROCESSES=0 must be a whole number of at least 1"),
        ("gpu.sh", {"GPUS": "0;1"}, (), "GPUS=0;1 must be numbers such as 0,1"),
        ("gpu.sh", {"MEMORY_FRACTION": "90"}, (), "MEMORY_FRACTION=90 must lie between 0 and 1"),
        ("tpu_vm.sh", {}, ("run",), "NAME is missing; name the TPU"),
        ("tpu_vm.sh", {"NAME": "mpnet"}, ("run",), "ZONE is missing; say where"),
        ("tpu_vm.sh", TPU, ("start",), "step 'start' is unknown; use create, install"),
        ("tpu_vm.sh", TPU, (), "step '' is unknown; use create, install"),
        ("kubernetes.sh", {"CLAIM": "share"}, ("apply",), "IMAGE= must name a container image"),
        ("kubernetes.sh", KUBERNETES | {"NAME": "My run"}, ("apply",), "NAME=My run must be small letters"),
        ("kubernetes.sh", KUBERNETES | {"HOSTS": "1.5"}, ("apply",), "HOSTS=1.5 must be a whole number"),
        ("kubernetes.sh", KUBERNETES, ("start",), "step 'start' is unknown; use apply, logs or delete"),
        ("kubernetes.sh", KUBERNETES, ("apply", "--a=1\n2"), "a flag holds a control character"),
    ],
)
def test_wrong_words_are_one_sentence(script: str, variables: dict, step: tuple, sentence: str) -> None:
    refused = run(script, "--dry_run", *step, **variables)
    assert refused.returncode == 2, refused.stdout
    assert refused.stderr.startswith("error: ") and sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
