"""The profile for Slurm on a real one of one node with two GPUs, which are fakes."""

import re
from collections.abc import Iterator

import pytest
from cluster_machine import skip_unless
from cluster_study import ClusterStudy, copy_project
from disturbances import check_resumed, prepare_study, run_disturbed
from slurm_cluster import Slurm, running_slurm

pytestmark = pytest.mark.cluster
# The cluster is small and its files are local: look often, keep the evidence.
PROFILE = ("--workflow-profile", "profiles/slurm", "--latency-wait", "5", "--slurm-keep-successful-logs")
PROFILE += ("--slurm-init-seconds-before-status-checks", "2")
# A disturbance, and what Slurm says of the two attempts.
DISTURBED = {
    "cancelled": ["CANCELLED", "COMPLETED"],
    "requeued": ["PENDING", "COMPLETED"],
    "out_of_memory": ["FAILED", "COMPLETED"],  # OUT_OF_MEMORY where cgroups enforce it
    "out_of_time": ["TIMEOUT", "COMPLETED"],
}
TABLE, FIGURE = "results/tables/parameters.md", "results/figures/augmentations.svg"
TRAINING = "results/supervised/seed0/metrics.json"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    skip_unless("slurmctld", "slurmd", "sbatch", packages="slurmctld slurmd slurm-client")
    with running_slurm(tmp_path_factory.mktemp("slurm") / "cluster") as running:
        yield running


@pytest.fixture(scope="module")
def disturbed(slurm: Slurm) -> ClusterStudy:
    names = tuple(DISTURBED)
    study = prepare_study(slurm.folder.parent / "disturbed", names)
    disturb = {"cancelled": slurm.cancel, "requeued": slurm.requeue, "out_of_time": slurm.end_its_time}
    run_disturbed(study, names, slurm, disturb, *PROFILE)
    return study


@pytest.mark.parametrize("name", DISTURBED)
def test_a_disturbed_training_ends_with_the_same_bits(name: str, disturbed: ClusterStudy) -> None:
    check_resumed(disturbed, name)


@pytest.mark.parametrize(("name", "states"), DISTURBED.items())
def test_each_was_disturbed_once(name: str, states: list[str], slurm: Slurm, disturbed: ClusterStudy) -> None:
    jobs = slurm.jobs(disturbed.results)
    assert [job["JobState"] for job in jobs if name in job["wildcards"]] == states


def test_a_job_that_is_submitted_again_gets_twice_the_memory(slurm: Slurm, disturbed: ClusterStudy) -> None:
    jobs = slurm.jobs(disturbed.results)
    requests = [job["Tres"] for job in jobs if "out_of_memory" in job["wildcards"]]
    first, second = (int(re.search(r"mem=(\d+)M", request)[1]) for request in requests)
    assert second == 2 * first


@pytest.fixture(scope="module")
def study(slurm: Slurm) -> ClusterStudy:
    """A supervised training on a GPU of a named model, a table, and a figure."""
    copy_project(slurm.folder.parent / "gpus", {"compute": {"gpus": 1, "kernels": "off"}})
    study = ClusterStudy(slurm.folder.parent / "gpus")
    study.run(TRAINING, *PROFILE, "--set-resources", "train_supervised:gpu_model=h100")
    study.run(TABLE, FIGURE, *PROFILE)
    return study


def test_a_training_gets_a_gpu_of_the_model_that_is_named_and_other_jobs_get_none(
    slurm: Slurm, study: ClusterStudy
) -> None:
    seen = {
        job["rule"]: (job["JobState"], job["Partition"], slurm.devices()[job["JobId"]])
        for job in slurm.jobs(study.results)
    }
    assert seen == {
        "draw_shapes": ("COMPLETED", "cpu", {"none"}),
        "check_sizes": ("COMPLETED", "cpu", {"none"}),
        "train_supervised": ("COMPLETED", "gpu", {"1"}),  # the second one in gres.conf
        "figures": ("COMPLETED", "cpu", {"none"}),
    }


def test_jobs_of_a_group_run_one_after_the_other_in_one_submission(slurm: Slurm, study: ClusterStudy) -> None:
    (job,) = (job for job in slurm.jobs(study.results) if job["rule"] == "figures")  # of four rules
    assert (job["ProcCnt"], job["TimeLimit"]) == ("1", "40")
    assert "mem=2000M" in job["Tres"]


def test_a_second_run_has_nothing_to_do(slurm: Slurm, study: ClusterStudy) -> None:
    before = slurm.jobs(study.results)
    assert "Nothing to be done" in study.run(TRAINING, TABLE, FIGURE, *PROFILE)
    assert slurm.jobs(study.results) == before


def test_without_gpus_a_training_goes_where_there_are_none(slurm: Slurm, study: ClusterStudy) -> None:
    before = slurm.jobs(study.results)
    (study.project / "mine.yaml").write_text("compute: {gpus: 0}\n")
    study.run(TRAINING, *PROFILE, "--forcerun", "train_supervised")
    (job,) = (job for job in slurm.jobs(study.results) if job not in before)
    assert (job["rule"], job["Partition"]) == ("train_supervised", "cpu")
