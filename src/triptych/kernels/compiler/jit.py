"""How kernels are compiled: without the GIL, for this very CPU, and once: later processes load them.

Numba's own cache goes by the file of the compiled function alone and would miss an edit of a
function it calls in another file, so the cache folder carries a digest of all kernels.
"""

import ctypes
import os
import platform
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_files

# Sums may be reordered and products fused; infinities and NaNs keep their meaning.
FAST = {"contract", "reassoc", "nsz", "arcp"}

UNUSED = 30 * 86400.0  # seconds

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18  # x86-64 Linux: ask for the tile registers


def _host_has(*features: str) -> bool:
    """Whether kernels are compiled for this very CPU and it has all these features, by LLVM's names."""
    # NUMBA_CPU_NAME and NUMBA_CPU_FEATURES compile for another CPU than this one
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:  # type: ignore[attr-defined]
        return False
    try:
        host = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on this platform
        return False
    return all(host.get(feature) for feature in features)


@cache
def has_tiles() -> bool:
    """Whether this process may use the CPU's tile registers (AMX) for bfloat16 products."""
    if platform.system() != "Linux" or not _host_has("amx-tile", "amx-bf16"):
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0


@cache
def has_pairs() -> bool:
    """Whether the CPU multiplies pairs of bfloat16 in its vector registers (AVX512-BF16)."""
    return _host_has("avx512bf16")


@cache
def has_float_products() -> bool:
    """Whether the CPU multiplies and adds 8 float32 at a time (AVX2 and FMA)."""
    return _host_has("avx2", "fma")


def has_products() -> bool:
    """Whether kernels can multiply in bfloat16, by tiles or by pairs."""
    return has_tiles() or has_pairs()


@cache
def has_wide_registers() -> bool:
    """Whether the CPU has 32 vector registers of 16 float32 (AVX-512)."""
    return _host_has("avx512f")


def remove_unused(root: Path) -> None:
    """Delete kernels of other versions that nobody has loaded for a month."""
    for folder in root.glob("kernels-*"):
        with suppress(OSError):  # another process is faster
            if time.time() - folder.stat().st_mtime > UNUSED:
                shutil.rmtree(folder)


def _cache_folder() -> Path:
    """A folder of this user's for compiled kernels, named after their source."""
    package = Path(__file__).parents[1]
    digest = digest_of_files(sorted(str(path) for path in package.rglob("kernels/*.py")))[:16]
    # whether they may be used is a matter of permission, too, of which Numba's cache knows nothing
    tiles = "-tiles" if has_tiles() else ""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own = f"triptych-{os.getuid()}" if hasattr(os, "getuid") else "triptych"
    for root in (home / "triptych", Path(tempfile.gettempdir()) / own):
        folder = root / f"kernels-{digest}{tiles}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        if mine and os.access(folder, os.W_OK):
            os.utime(folder)
            remove_unused(root)
            return folder
    raise TriptychError(
        f"{home}: compiled kernels cannot be kept there; set XDG_CACHE_HOME to a folder of yours"
    )


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

# Numba checks their types, not mypy.
kernel: Any = partial(numba.njit, nogil=True, cache=True, fastmath=FAST, error_model="numpy")
