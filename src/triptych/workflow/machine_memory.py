"""The memory that this process may use."""

import os
from contextlib import suppress
from pathlib import Path

# Limits of the control group of this process: as version 2 and version 1 of Linux's control groups tell it.
CGROUP = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def memory_limit() -> int:
    """Bytes: the machine's memory, or a lower limit of the job's control group (Slurm, a container)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _limit_files():
        with suppress(OSError, ValueError):  # "max": no limit
            limits.append(int(path.read_text()))
    return min(limits)


def _limit_files() -> list[Path]:
    files = []
    with suppress(OSError):
        for line in CGROUP.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            root, name = MOUNT, "memory.max"
            if "memory" in controllers.split(","):
                root, name = MOUNT / "memory", "memory.limit_in_bytes"
            elif controllers:
                continue
            folder = root / group.lstrip("/")
            files += [parent / name for parent in (folder, *folder.parents) if parent.is_relative_to(root)]
    return files
