"""Tests the Kubernetes manifests and the container image."""

import yaml

from tests.support.launch_scripts import FLAGS, KUBERNETES, LAUNCH, ROOT, calls_shown, run


def manifests(text: str) -> tuple[dict, dict]:
    service, job = yaml.safe_load_all(text)
    return service, job


def test_kubernetes_template_is_yaml() -> None:
    service, job = manifests((LAUNCH / "kubernetes.yaml").read_text())
    assert (service["kind"], job["kind"]) == ("Service", "Job")


def test_kubernetes_shows_a_job_with_one_pod_per_host() -> None:
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
        *(flag.replace("$(", "$$(") for flag in FLAGS),  # else Kubernetes expands it as a variable
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


def test_kubernetes_shows_the_complete_log_of_process_0() -> None:
    (call,) = calls_shown(run("kubernetes.sh", "--dry_run", "logs"))
    assert {"--follow", "--tail=-1", "--max-log-requests=100"} < set(call)


def test_the_image_sets_cache_folders_and_driver_paths() -> None:
    words = (LAUNCH / "Dockerfile").read_text().split()
    assert {"HOME=/tmp/home", "NUMBA_CACHE_DIR=/tmp/numba"} < set(words)
    assert {"LD_LIBRARY_PATH=/usr/local/nvidia/lib64", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} < set(words)


def test_the_image_excludes_what_git_ignores() -> None:
    excluded = {line.strip("/").removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line[:1] not in ("#", "")}
    assert {name for name in ignored if not name.startswith("results/")} < excluded
    assert {".git", "results"} < excluded


def test_kubernetes_distinguishes_preemption_from_failure() -> None:
    _, job = manifests(run("kubernetes.sh", "--dry_run", "apply", **KUBERNETES).stdout)
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_status = {v: rule["action"] for rule in rules if "onExitCodes" in rule for v in rule["onExitCodes"]["values"]}
    assert by_status == {2: "FailJob", 134: "Ignore", 143: "Ignore"}
    (disruption,) = [rule for rule in rules if "onPodConditions" in rule]
    assert disruption == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 60


def test_kubernetes_passes_the_shown_manifest_to_kubectl(programs) -> None:
    shown = run("kubernetes.sh", "--dry_run", "apply", *FLAGS, **KUBERNETES)
    assert programs.run("kubernetes.sh", "apply", *FLAGS, **KUBERNETES).returncode == 0
    assert programs.run("kubernetes.sh", "delete", NAME="my-run").returncode == 0
    assert programs.calls() == [
        ["kubectl", "apply", "--filename=-"],
        ["kubectl", "delete", "--ignore-not-found", "job/my-run", "service/my-run"],
    ]
    assert manifests(programs.inputs()[0] or "") == manifests(shown.stdout)


def compared(*flags: str, **variables: str) -> dict:
    """Returns the Job of a comparison."""
    shown = run("kubernetes.sh", "--dry_run", "compare", *flags, **KUBERNETES, **variables)
    assert shown.returncode == 0, shown.stderr
    assert "${" not in shown.stdout
    return yaml.safe_load(shown.stdout)


def test_kubernetes_shares_the_cells_of_a_comparison_among_pods() -> None:
    job = compared(*FLAGS, HOSTS="32", AT_ONCE="8", NAME="cells")
    spec, (container,) = job["spec"], job["spec"]["template"]["spec"]["containers"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 32, 8)
    assert container["command"] == ["python", "-m", "mpnet_jax.compare"]
    # Kubernetes replaces the variable by the index of the pod.
    assert container["args"] == [
        *(flag.replace("$(", "$$(") for flag in FLAGS),
        "--cells=$(JOB_COMPLETION_INDEX)/32",
    ]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "6Gi"}
    assert {"name": "JAX_PLATFORMS", "value": "cpu"} in container["env"]
    assert compared(*FLAGS, HOSTS="3")["spec"]["parallelism"] == 3


def test_a_pod_of_a_comparison_that_was_stopped_is_no_failure() -> None:
    spec = compared(*FLAGS)["spec"]
    rules = {
        value: rule["action"]
        for rule in spec["podFailurePolicy"]["rules"]
        for value in rule.get("onExitCodes", {"values": ["disruption"]})["values"]
    }
    assert rules == {2: "FailJob", "disruption": "Ignore", 143: "Ignore"}
    assert spec["backoffLimitPerIndex"] == 2 and spec["template"]["spec"]["restartPolicy"] == "Never"
