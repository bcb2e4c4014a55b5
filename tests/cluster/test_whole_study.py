"""The whole test preset through Slurm, with GPUs. `make test-cluster` runs it; it takes minutes."""

from collections import Counter

import pytest
from cluster_study import ClusterStudy, copy_project
from slurm_cluster import Slurm

pytestmark = pytest.mark.cluster
PROFILE = ("--workflow-profile", "profiles/slurm", "--latency-wait", "5", "--retries", "0", "--jobs", "4")
PROFILE += ("--slurm-init-seconds-before-status-checks", "2", "--slurm-keep-successful-logs")
# The first word of the rules and groups that need a GPU.
ON_GPU = {"pretrain", "evaluation", "fine", "train", "render", "export"}


@pytest.fixture(scope="module")
def study(slurm: Slurm) -> ClusterStudy:
    """Everything has run once; each GPU job got a GPU, and the supervised training one of a model."""
    copy_project(slurm.folder.parent / "project", {"compute": {"gpus": 1, "kernels": "off"}})
    study = ClusterStudy(slurm.folder.parent / "project")
    study.run(*PROFILE, "--set-resources", "train_supervised:gpu_model=h100")
    return study


def test_every_job_completes_in_the_partition_that_has_what_it_needs(
    slurm: Slurm, study: ClusterStudy
) -> None:
    devices = slurm.devices()
    for job in slurm.jobs():
        needs_gpu = job["rule"].split("_")[0] in ON_GPU
        assert job["JobState"] == "COMPLETED", job
        assert job["Partition"] == ("gpu" if needs_gpu else "cpu"), job
        assert len(devices[job["JobId"]]) == 1, job
        assert (devices[job["JobId"]] <= {"0", "1"}) == needs_gpu, job


def test_a_gpu_of_the_model_that_is_named(slurm: Slurm, study: ClusterStudy) -> None:
    (job,) = [job for job in slurm.jobs() if job["rule"] == "train_supervised"]
    assert slurm.devices()[job["JobId"]] == {"1"}  # the second one in gres.conf


def test_small_jobs_are_submitted_together(slurm: Slurm, study: ClusterStudy) -> None:
    """54 jobs (`snakemake -n` lists them) are 24 submissions."""
    submissions = Counter(job["rule"] for job in slurm.jobs())
    print(dict(submissions))
    assert submissions.total() == 24
    assert submissions["train_cell"] == 8


def test_a_second_run_has_nothing_to_do(slurm: Slurm, study: ClusterStudy) -> None:
    before = len(slurm.jobs())
    assert "Nothing to be done" in study.run(*PROFILE)
    assert len(slurm.jobs()) == before
    assert (study.results / "report/index.html").stat().st_size


def test_without_gpus_a_training_goes_where_there_are_none(slurm: Slurm, study: ClusterStudy) -> None:
    before = {job["JobId"] for job in slurm.jobs()}
    (study.project / "mine.yaml").write_text("compute: {gpus: 0}\n")
    study.run(*PROFILE, "--forcerun", "train_supervised", "--until", "train_supervised")
    (job,) = [job for job in slurm.jobs() if job["JobId"] not in before]
    assert (job["rule"], job["Partition"]) == ("train_supervised", "cpu")
