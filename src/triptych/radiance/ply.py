"""Binary PLY files (Turk 1994): points or meshes with normals and colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.files import atomic_path

VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue")]
)
FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
TYPES = {"f4": "float", "u1": "uchar"}


def write_ply(
    target: str | Path,
    *,
    positions: NDArray[np.floating],
    normals: NDArray[np.floating],
    colours: NDArray[np.uint8],
    faces: NDArray[np.integer] | None = None,
) -> None:
    """Write points, or a mesh where `faces` are given, atomically.

    Args:
        target: the file.
        positions, normals: (n, 3).
        colours: (n, 3) sRGB, which is what programs take PLY colours for.
        faces: (m, 3) corners.
    """
    vertices = np.empty(len(positions), VERTEX)
    for names, values in (("x y z", positions), ("nx ny nz", normals), ("red green blue", colours)):
        for column, name in enumerate(names.split()):
            vertices[name] = values[:, column]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property {TYPES[VERTEX[name].str[1:]]} {name}" for name in VERTEX.names or ()]
    body = vertices.tobytes()
    if faces is not None:
        triangles = np.empty(len(faces), FACE)
        triangles["count"], triangles["corners"] = 3, faces
        header += [f"element face {len(triangles)}", "property list uchar int vertex_indices"]
        body += triangles.tobytes()
    with atomic_path(target) as temporary:
        temporary.write_bytes("\n".join([*header, "end_header\n"]).encode() + body)
