"""The profile for Slurm on a real Slurm of one node. `make test-cluster` runs all; see docs/cluster.md."""

import re

import pytest
from cluster_study import ClusterStudy
from disturbances import cell, prepare_study, run_disturbed
from slurm_cluster import Slurm

pytestmark = pytest.mark.cluster
PROFILE = ("--workflow-profile", "profiles/slurm", "--latency-wait", "5")
# The cluster is small and its files are local: look often, keep the evidence.
PROFILE += ("--slurm-init-seconds-before-status-checks", "2", "--slurm-keep-successful-logs")
NAMES = ("cancelled", "requeued", "out_of_memory", "out_of_time")


@pytest.fixture(scope="module")
def study(slurm: Slurm) -> ClusterStudy:
    return prepare_study(slurm.folder.parent / "project", NAMES)


def test_jobs_of_a_group_run_one_after_the_other_in_one_submission(slurm: Slurm, study: ClusterStudy) -> None:
    study.run("results/tables/parameters.md", "results/figures/augmentations.svg", *PROFILE)
    (job,) = slurm.jobs()  # of four rules
    assert (job["JobState"], job["ProcCnt"], job["TimeLimit"]) == ("COMPLETED", "1", "40")
    assert "mem=2000M" in job["Tres"]


@pytest.fixture(scope="module")
def disturbed(slurm: Slurm, study: ClusterStudy) -> ClusterStudy:
    disturb = {"cancelled": slurm.cancel, "requeued": slurm.requeue, "out_of_time": slurm.end_its_time}
    run_disturbed(study, NAMES, disturb, slurm.ended_early, slurm.job_variable, *PROFILE)
    return study


@pytest.mark.parametrize("name", NAMES)
def test_a_disturbed_training_resumes_in_the_next_attempt_and_ends_with_the_same_bits(
    name: str, disturbed: ClusterStudy
) -> None:
    assert "resuming from" in disturbed.job_log(cell(name))
    assert disturbed.bits(cell(name)) == disturbed.bits(cell("undisturbed"))


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("cancelled", ["CANCELLED", "COMPLETED"]),
        ("requeued", ["PENDING", "COMPLETED"]),
        ("out_of_memory", ["FAILED", "COMPLETED"]),  # OUT_OF_MEMORY where cgroups enforce it
        ("out_of_time", ["TIMEOUT", "COMPLETED"]),
    ],
)
def test_each_was_disturbed_once(name: str, states: list[str], slurm: Slurm, disturbed: ClusterStudy) -> None:
    assert [job["JobState"] for job in slurm.jobs() if name in job["wildcards"]] == states


def test_a_job_that_is_submitted_again_gets_twice_the_memory(slurm: Slurm, disturbed: ClusterStudy) -> None:
    requests = [job["Tres"] for job in slurm.jobs() if "out_of_memory" in job["wildcards"]]
    first, second = (int(re.search(r"mem=(\d+)M", request)[1]) for request in requests)
    assert second == 2 * first
