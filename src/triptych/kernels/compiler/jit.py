"""How kernels are compiled: without the GIL, for this very CPU, and once: later processes load them.

Numba's own cache goes by the file of the compiled function alone and would miss an edit of a
function it calls in another file, so the cache folder carries a digest of all kernels.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numba

from triptych.kernels.registry import EMULATE, emulates, tier
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_files

# Sums may be reordered and products fused; infinities and NaNs keep their meaning.
FAST = {"contract", "reassoc", "nsz", "arcp"}

UNUSED = 30 * 86400.0  # seconds


def remove_unused(root: Path) -> None:
    """Delete kernels of other versions that nobody has loaded for a month."""
    for folder in root.glob("kernels-*"):
        with suppress(OSError):  # another process is faster
            if time.time() - folder.stat().st_mtime > UNUSED:
                shutil.rmtree(folder)


def _cache_folder() -> Path:
    """A folder of this user's for compiled kernels, named after their source."""
    package = Path(__file__).parents[1]
    digest = digest_of_files(sorted(str(path) for path in package.rglob("*/*.py")))[:16]
    # some functions are other ones in other tiers, and Numba's cache does not depend on the tier
    emulated = os.environ.get(EMULATE, "").replace(",", "-")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own = f"triptych-{os.getuid()}" if hasattr(os, "getuid") else "triptych"
    for root in (home / "triptych", Path(tempfile.gettempdir()) / own):
        folder = root / f"kernels-{digest}-{tier()}{'-' + emulated if emulated else ''}"
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

# Numba checks their types, not mypy. Emulated AMX has one set of registers for all threads (`gemm.amx`).
kernel: Any = partial(
    numba.njit, nogil=not emulates("amx_bf16"), cache=True, fastmath=FAST, error_model="numpy"
)
