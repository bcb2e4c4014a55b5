"""Where a number comes from: recipe, seed, versions, hardware, wall time."""

import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "pandas",
    "pillow",
    "scikit-image",
    "pycolmap",
    "av",
    "snakemake",
)
ROOT = Path(__file__).parents[3]


def project_version() -> str:
    """The version of the running source, which in a second checkout is not that of the installed package."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except FileNotFoundError:  # installed without its folder
        return version("triptych")
    return str(project["version"])


def package_versions() -> dict[str, str]:
    """Versions of the project, of Python and of the installed packages that can change a number."""
    versions = {"triptych": project_version(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def cpu_model() -> str:
    """The CPU's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_hardware(*, device: str | None = None, gpus: int = 1) -> dict[str, Any]:
    """CPU model, usable cores, memory and, where there is torch, its threads and the GPU.

    Args:
        device: on which the job ran; if it is the CPU, a GPU of the machine is not named. None: name any GPU.
        gpus: number of GPUs in use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    hardware: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": cores,
    }
    if hasattr(os, "sysconf"):
        pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        hardware["memory_gib"] = round(pages / 2**30, 1)
    torch = sys.modules.get("torch")  # jobs without tensors need not pay for its import
    if torch is not None:
        # On a CPU each of the `gpus` workers has this number of threads.
        hardware["threads"] = torch.get_num_threads() * (gpus if device == "cpu" else 1)
        if torch.cuda.is_available() and (device is None or device.startswith("cuda")):
            name = torch.cuda.get_device_name()
            hardware["gpu"] = name if gpus == 1 else f"{gpus} × {name}"
    return hardware


def kernel_tier(device: str) -> str | None:
    """The tier of the compiled CPU kernels, `off`, or None for a job without tensors or on a GPU."""
    registry = sys.modules.get("triptych.kernels.registry")
    return str(registry.tier()) if registry and device.startswith("cpu") else None


def source_revision() -> str | None:
    """The git commit of the running source, with `+changes` if the tree is dirty; None outside git."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip()[:12] + ("+changes" if status.stdout.strip() else "")


def provenance(
    *, recipe: Any, seed: int | None = None, wall_seconds: float | None = None, **facts: Any
) -> dict[str, Any]:
    """The provenance that every result file contains.

    Args:
        recipe: the part of the config that the result depends on.
        seed: the random seed, if the result has one.
        wall_seconds: time spent, over all resumed parts of the job.
        facts: anything else that explains the number (device, precision, data digest).

    `kernels`: see `kernel_tier`.
    """
    return {
        "recipe": recipe,
        "seed": seed,
        "wall_seconds": None if wall_seconds is None else round(wall_seconds, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": source_revision(),
        "versions": package_versions(),
        "hardware": describe_hardware(
            device=facts.get("device"), gpus=recipe.get("gpus", 1) if isinstance(recipe, Mapping) else 1
        ),
        "kernels": kernel_tier(str(facts.get("device") or "cpu")),
        **facts,
    }
