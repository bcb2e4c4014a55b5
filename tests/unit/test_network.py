"""Nothing is fetched at run time but the archives that the config names."""

from triptych.workflow.tracked_code import SCRIPTS, SOURCE_ROOT, imported_names

FETCH = {"requests", "urllib3", "urllib.request", "http.client", "httpx", "aiohttp", "ftplib", "torch.hub"}
FETCH |= {"huggingface_hub", "pooch", "boto3", "torch.utils.model_zoo", "torchvision.datasets", "timm"}
LISTEN = {"socket", "socketserver", "http.server", "websockets", "viser"}


def importers(modules: set[str]) -> set[str]:
    """The files of the project that import one of these modules."""
    files = [*(SOURCE_ROOT / "triptych").rglob("*.py"), *SCRIPTS.glob("*.py")]
    return {
        str(path.relative_to(SOURCE_ROOT.parent))
        for path in files
        if any(f"{name}.".startswith(f"{module}.") for name in imported_names(path) for module in modules)
    }


def test_only_the_download_of_archives_uses_a_network() -> None:
    assert importers(FETCH) <= {"src/triptych/data/download.py", "src/triptych/data/http_stream.py"}


def test_only_the_viewer_and_workers_of_one_training_listen() -> None:
    assert all(
        path.startswith(("src/triptych/view/", "src/triptych/training/")) for path in importers(LISTEN)
    )
