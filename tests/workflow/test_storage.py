"""A study in object storage: with jobs on this machine, and as a Kubernetes cluster runs them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from conftest import Study, copy_project
from moto.server import ThreadedMotoServer
from stand_in_kubernetes import StandIn

pytestmark = pytest.mark.slow

PARAMETERS = "results/tables/parameters.md"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def study(tmp_path: Path, s3: str) -> Study:
    """A checkout whose results are in s3://study/one."""
    copy_project(tmp_path)
    study = Study(tmp_path)
    study.environment = {
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": s3,
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "nobody",
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "nothing",
    }
    return study


def objects(s3: str, prefix: str) -> set[str]:
    """The keys in the bucket below a prefix."""
    client = boto3.client(
        "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    listing = client.list_objects_v2(Bucket="study", Prefix=prefix)
    return {entry["Key"].removeprefix(prefix) for entry in listing.get("Contents", [])}


def test_results_are_objects_and_not_computed_twice(study: Study, s3: str) -> None:
    storage = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://study/one"]
    targets = [PARAMETERS, "results/random/seed0/metrics.json"]
    study.run(*targets, *storage)
    assert {*targets, "results/data/shapes/train_images.npy"} <= objects(s3, "one/")
    assert not (study.folder / "results/tables").exists()
    assert "Nothing to be done" in study.run(*targets, *storage, "-n")


def test_pods_compute_from_storage_alone(study: Study, s3: str) -> None:
    cluster = StandIn(os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    cluster.write_kubeconfig(study.folder / "kubeconfig")
    study.environment["KUBECONFIG"] = str(study.folder / "kubeconfig")
    study.preset = Path("presets/test.yaml")  # as the pods have it
    subprocess.run(["git", "init", "-q"], cwd=study.folder, check=True)  # what git tracks reaches the pods
    subprocess.run(["git", "add", "."], cwd=study.folder, check=True)
    options = ["--workflow-profile", "profiles/kubernetes", "--default-storage-prefix", "s3://study/pods"]
    options += ["--seconds-between-status-checks", "1", "--config", "compute={gpus: 1}"]
    done = study.snakemake("results/random/seed0/metrics.json", *options)
    assert done.returncode == 0, done.stdout + done.stderr + "".join(cluster.printed.values())
    assert cluster.invalid == []
    assert "results/random/seed0/metrics.json" in objects(s3, "pods/")
    requests = [
        job["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        for job in cluster.manifests.values()
    ]
    assert sorted(request["nvidia.com/gpu"] for request in requests if "nvidia.com/gpu" in request) == ["1"]
    assert all("memory" in request and "cpu" in request for request in requests)
