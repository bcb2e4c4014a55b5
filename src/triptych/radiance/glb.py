"""Binary glTF 2.0 files (Khronos 2017): a mesh for browsers, game engines and slides."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.files import atomic_path

FLOAT, UNSIGNED_INT = 5126, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
UNLIT = "KHR_materials_unlit"


def to_linear(colours: NDArray[np.floating]) -> NDArray[np.float32]:
    """SRGB values in [0, 1] as linear light (IEC 61966-2-1)."""
    dark = colours / 12.92
    bright = ((colours + 0.055) / 1.055) ** 2.4
    return np.where(colours <= 0.04045, dark, bright).astype(np.float32)


def y_up(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors (n, 3) of a world where +z is up, turned to glTF's, where +y is: (x, z, -y)."""
    x, y, z = vectors.T
    return np.ascontiguousarray(np.stack([x, z, -y], axis=-1), dtype=np.float32)


def _chunk(kind: int, content: bytes, padding: bytes) -> bytes:
    content += padding * (-len(content) % 4)
    return struct.pack("<II", len(content), kind) + content


def write_glb(
    target: str | Path,
    *,
    positions: NDArray[np.floating],
    normals: NDArray[np.floating],
    colours: NDArray[np.floating],
    faces: NDArray[np.integer],
) -> None:
    """Write a mesh atomically; one without faces becomes a valid file with an empty scene.

    The world is turned from z up to y up. Colours are stored as linear light in float32, as the
    format wants vertex colours. The material is unlit: the light is in the colours already.

    Args:
        target: the file.
        positions, normals: (n, 3), with +z up.
        colours: (n, 3) sRGB in [0, 1].
        faces: (m, 3) corners.
    """
    content: dict[str, Any] = {"asset": {"version": "2.0", "generator": "triptych"}, "scene": 0}
    body = b""
    if not len(faces):
        content["scenes"] = [{}]
    else:
        parts = [
            ("POSITION", y_up(positions)),
            ("NORMAL", y_up(normals)),
            ("COLOR_0", to_linear(colours)),
            ("indices", np.ascontiguousarray(faces, dtype=np.uint32).reshape(-1)),
        ]
        views, accessors = [], []
        for number, (name, values) in enumerate(parts):
            indices = name == "indices"
            where = {"buffer": 0, "byteOffset": len(body), "byteLength": values.nbytes}
            views.append({**where, "target": ELEMENT_ARRAY_BUFFER if indices else ARRAY_BUFFER})
            accessor = {
                "bufferView": number,
                "componentType": UNSIGNED_INT if indices else FLOAT,
                "count": len(values),
                "type": "SCALAR" if indices else "VEC3",
            }
            if name == "POSITION":
                accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
            accessors.append(accessor)
            body += values.tobytes()
        attributes = {name: number for number, (name, _) in enumerate(parts) if name != "indices"}
        content |= {
            "extensionsUsed": [UNLIT],
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "scene"}],
            "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
            "materials": [
                {
                    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                    "doubleSided": True,
                    "extensions": {UNLIT: {}},
                }
            ],
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": len(body)}],
        }
    chunks = _chunk(JSON_CHUNK, json.dumps(content).encode(), b" ")
    if body:
        chunks += _chunk(BINARY_CHUNK, body, b"\0")
    with atomic_path(target) as temporary:
        temporary.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
