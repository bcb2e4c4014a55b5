"""Coloured points of a scene, in a PLY file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from triptych.scenes.coordinates import Array
from triptych.workflow.errors import TriptychError, printable


@dataclass(frozen=True)
class SparsePoints:
    """Points (n, 3) in world coordinates and their colours (n, 3) uint8."""

    points: Array
    colours: NDArray[np.uint8]


def read_points(file: Path) -> SparsePoints | None:
    """Read a coloured point cloud; None if it has no points. Raises `TriptychError` if it is not one."""
    try:
        with file.open("rb") as stream:
            if b"element vertex 0" in stream.read(1000).splitlines():
                return None
            stream.seek(0)
            # As a stream: of a file, trimesh would follow its links to textures, and choose by its suffix.
            loaded: Any = trimesh.load(stream, file_type="ply", process=False)
        points = np.asarray(loaded.vertices, dtype=np.float64).reshape(-1, 3)
        colours = loaded.colors if hasattr(loaded, "colors") else loaded.visual.vertex_colors
        colours = np.asarray(colours, dtype=np.uint8)[:, :3]
        if len(points) != len(colours):
            raise ValueError(f"{len(points)} points, {len(colours)} colours")
        if not np.isfinite(points).all():
            raise ValueError("a point is not finite")
    except MemoryError:
        raise
    except Exception as error:  # trimesh raises almost anything
        reason = printable(str(error) or type(error).__name__)
        raise TriptychError(f"{file}: not a coloured point cloud ({reason}); write it again") from error
    return SparsePoints(points, colours)
