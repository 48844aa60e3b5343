import pytest

from data_pipeline.command import InputError
from mpnet_jax.processes.membership import FOUND_BY_JAX, Membership, membership, refuse_several


def member(coordinator=None, process_index=None, process_count=None, **environment):
    return membership(
        coordinator=coordinator, process_index=process_index, process_count=process_count, environment=environment
    )


def test_flags_alone_are_enough():
    assert member("10.0.0.1:8476", 2, 4) == Membership("10.0.0.1:8476", 2, 4)
    assert member("[fd00::1]:8476", 0, 1).address == ("fd00::1", 8476)


def test_slurm_and_kubernetes_number_the_processes():
    assert member("node1:8476", SLURM_PROCID="3", SLURM_NTASKS="8") == Membership("node1:8476", 3, 8)
    assert member("train-0.train:8476", process_count=4, JOB_COMPLETION_INDEX="1").index == 1
    assert member(JAX_COORDINATOR_ADDRESS="node1:8476", SLURM_PROCID="0", SLURM_NTASKS="2").coordinator == "node1:8476"


def test_a_flag_overrides_the_environment():
    assert member("node1:8476", 1, 2, SLURM_PROCID="3", SLURM_NTASKS="8") == Membership("node1:8476", 1, 2)


def test_without_a_coordinator_jax_finds_the_cluster():
    assert member() == FOUND_BY_JAX
    assert member(SLURM_PROCID="0", SLURM_NTASKS="2") == FOUND_BY_JAX  # a batch script, no step
    assert member(SLURM_STEP_ID="0", OMPI_COMM_WORLD_SIZE="2") == FOUND_BY_JAX


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"process_index": 0}, "--process_index and --process_count need --coordinator=HOST:PORT"),
        ({"SLURM_STEP_ID": "0"}, "under SLURM needs --coordinator=HOST:PORT, the first process's, as launch/slurm"),
        ({"coordinator": "node1:8476", "process_index": 0}, "needs --process_count, which neither a flag nor SLURM_N"),
        ({"coordinator": "node1", "process_index": 0, "process_count": 2}, "--coordinator=node1 must be HOST:PORT"),
        ({"coordinator": "node1:99999", "process_index": 0, "process_count": 2}, "must be HOST:PORT, such as"),
        ({"coordinator": "n:1", "process_index": 2, "process_count": 2}, "must lie between 0 and the count less one"),
        ({"coordinator": "n:1", "process_index": 0, "process_count": 0}, "must lie between 0 and the count less one"),
        ({"coordinator": "n:1", "SLURM_PROCID": "one", "process_count": 2}, "--process_index=one must be a number"),
    ],
)
def test_incomplete_or_wrong_membership_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        member(**given)


def test_a_command_of_one_process_refuses_several():
    def refuse(**environment):
        refuse_several("evaluate", way_out="start one alone", environment=environment)

    refuse()
    refuse(SLURM_PROCID="0", SLURM_NTASKS="8")  # a batch script, no step
    refuse(SLURM_PROCID="0", SLURM_NTASKS="1", SLURM_STEP_ID="0")
    refuse(JOB_COMPLETION_INDEX="0")
    with pytest.raises(InputError, match=r"evaluate runs as one process.* process 3 of several; start one alone"):
        refuse(SLURM_PROCID="3", SLURM_NTASKS="8", SLURM_STEP_ID="0")
