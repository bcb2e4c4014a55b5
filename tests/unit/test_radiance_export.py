"""The files of a mesh and a point cloud whose surface is known in closed form."""

import json
import logging
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from known_surface import LEVEL, MIDDLE, RADIUS, ball, colour_of, empty, look_from, radiance_of
from torch import Tensor, nn

from triptych.radiance.export import export_box, export_scene, to_linear, write_glb, write_ply, y_up
from triptych.radiance.point_cloud import PointCloud, extract_points, pixel_lattice, surface_density
from triptych.scenes.coordinates import World
from triptych.workflow.errors import TriptychError

WORLD = World(0.33, np.array([0.5, 0.5, 0.5]))


def test_the_files_of_a_mesh_keep_to_its_budget(tmp_path: Path) -> None:
    files = export(tmp_path, ball, max_faces=1000, points=50)
    assert 900 < files.numbers["faces"] <= 1000
    assert (tmp_path / "mesh.glb").stat().st_size < 1000 * 34 + 2000  # bytes a face, and the header


@dataclass(frozen=True)
class Files:
    numbers: dict[str, Any]
    folder: Path


OPTIONS: dict[str, Any] = {
    "box": None,
    "resolution": 32,
    "density": LEVEL,
    "min_component_fraction": 0.01,
    "max_faces": 100_000,
    "points": 1600,
}


def export(folder: Path, density: Callable[[Tensor], Tensor], **options: Any) -> Files:
    radiance = radiance_of(density)
    numbers = export_scene(radiance, WORLD, look_from([1.2, -0.3, 0.9], 80), folder, **(OPTIONS | options))
    return Files(numbers, folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return export(tmp_path_factory.mktemp("export"), ball)


def test_a_mesh_file_is_in_the_world_of_the_scene(files: Files) -> None:
    solid = trimesh.load(files.folder / "mesh.ply", process=False)
    assert isinstance(solid, trimesh.Trimesh)
    assert (len(solid.vertices), len(solid.faces)) == (files.numbers["vertices"], files.numbers["faces"])
    distance = np.linalg.norm(solid.vertices - WORLD.from_cube(MIDDLE.double().numpy()), axis=1)
    np.testing.assert_allclose(distance, RADIUS / 0.33, rtol=0.03)
    assert files.numbers["cell"] == pytest.approx(1 / 32 / 0.33)
    colours = solid.visual.vertex_colors[:, :3] / 255
    expected = colour_of(torch.from_numpy(WORLD.to_cube(solid.vertices))).numpy()
    assert np.abs(colours - expected).max() < 0.08


def test_a_masked_pixel_gives_no_point() -> None:
    cameras, left = look_from([1.2, -0.3, 0.9], 40), (torch.arange(40)[None] < 20).expand(40, 40)

    def count(mask: Tensor | None) -> int:
        corners = torch.zeros(3), torch.ones(3)
        return len(extract_points(radiance_of(ball), cameras, *corners, points=400, masks=[mask]).positions)

    assert count(torch.zeros(40, 40, dtype=torch.bool)) == 0 < count(None)
    assert count(left) == pytest.approx(count(None) / 2, rel=0.1)


def test_the_glb_holds_the_same_mesh_with_y_up_and_linear_colours(files: Files) -> None:
    ply = trimesh.load(files.folder / "mesh.ply", process=False)
    glb = trimesh.load(files.folder / "mesh.glb", process=False)
    assert isinstance(ply, trimesh.Trimesh)
    assert isinstance(glb, trimesh.Scene)
    (mesh,) = glb.geometry.values()
    assert isinstance(mesh, trimesh.Trimesh)
    np.testing.assert_array_equal(mesh.faces, ply.faces)
    x, y, z = np.asarray(ply.vertices).T
    np.testing.assert_allclose(mesh.vertices, np.stack([x, z, -y], axis=-1), rtol=1e-6)
    np.testing.assert_allclose(mesh.vertex_normals, y_up(np.asarray(ply.vertex_normals)), atol=1e-5)
    linear = mesh.visual.vertex_attributes["color"]
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(srgb, ply.visual.vertex_colors[:, :3] / 255, atol=0.51 / 255)


def test_the_glb_follows_the_format(files: Files) -> None:
    content = (files.folder / "mesh.glb").read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    described = json.loads(content[20 : 20 + size])
    body_size, body_kind = struct.unpack_from("<I4s", content, 20 + size)
    assert body_kind == b"BIN\0"
    assert described["buffers"] == [{"byteLength": body_size}]
    assert 28 + size + body_size == len(content)
    views = described["bufferViews"]
    assert [view["byteOffset"] for view in views] == [
        sum(view["byteLength"] for view in views[:number]) for number in range(len(views))
    ]
    (primitive,) = described["meshes"][0]["primitives"]
    position = described["accessors"][primitive["attributes"]["POSITION"]]
    begin = 28 + size + views[position["bufferView"]]["byteOffset"]
    found = np.frombuffer(content, "<f4", 3 * position["count"], begin).reshape(-1, 3)
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == (position["min"], position["max"])
    assert "KHR_materials_unlit" in described["materials"][primitive["material"]]["extensions"]
    assert "KHR_materials_unlit" in described["extensionsUsed"]


def test_the_cloud_lies_on_the_ball_and_faces_the_camera(files: Files) -> None:
    cloud = trimesh.load(files.folder / "cloud.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    # of the 40 x 40 pixels, those on the disc that the ball covers
    position, middle = torch.tensor([1.2, -0.3, 0.9]), MIDDLE
    distance = float((position - middle).norm())
    radius = 1.2 * 40 * math.tan(math.asin(RADIUS / distance))
    assert len(cloud.vertices) == files.numbers["points"] == pytest.approx(math.pi * radius**2, rel=0.08)
    positions = torch.from_numpy(WORLD.to_cube(np.asarray(cloud.vertices))).float()
    outward = positions - middle
    assert (outward.norm(dim=-1) - RADIUS).abs().max() < 0.03
    stored = cloud.metadata["_ply_raw"]["vertex"]["data"]
    normals = torch.from_numpy(np.stack([stored[name] for name in ("nx", "ny", "nz")], axis=-1).squeeze())
    cosine = (normals * nn.functional.normalize(outward, dim=-1)).sum(dim=-1)
    assert cosine.quantile(0.1) > 0.97
    assert ((position - positions) * normals).sum(dim=-1).min() > 0
    colours = torch.from_numpy(cloud.colors[:, :3] / 255).float()
    assert (colours - colour_of(positions)).abs().quantile(0.95) < 0.05


@pytest.mark.parametrize(("srgb", "linear"), [(0.0, 0.0), (0.02, 0.00154799), (0.5, 0.21404114), (1.0, 1.0)])
def test_srgb_becomes_linear_light(srgb: float, linear: float) -> None:
    assert to_linear(np.array([srgb]))[0] == pytest.approx(linear, abs=1e-6)


def test_without_a_surface_the_files_are_valid_and_empty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="triptych"):
        files = export(tmp_path, empty)
    assert files.numbers["faces"] == files.numbers["vertices"] == files.numbers["points"] == 0
    assert "lower export.density" in caplog.text
    assert "nothing in the box is opaque" in caplog.text
    for name in ("mesh.ply", "cloud.ply"):
        assert b"element vertex 0\n" in (tmp_path / name).read_bytes()
    glb = trimesh.load(tmp_path / "mesh.glb")
    assert isinstance(glb, trimesh.Scene) and not glb.geometry


def test_the_surface_lies_where_three_quarters_of_the_points_are_denser() -> None:
    points = torch.rand(401, 3, generator=torch.Generator().manual_seed(0))
    cloud = PointCloud(points, points, points)
    level = surface_density(radiance_of(lambda positions: positions[:, 0]), cloud)
    assert (points[:, 0] > level).sum() == 300
    assert surface_density(radiance_of(ball), PointCloud(*(points[:0],) * 3)) == math.inf


def test_the_box_is_that_of_the_occupied_cells_or_the_given_one() -> None:
    assert [corner.tolist() for corner in export_box(radiance_of(ball), WORLD, None)] == [[0] * 3, [1] * 3]
    radiance = radiance_of(ball, aabb_scale=4)
    assert [corner.tolist() for corner in export_box(radiance, WORLD, None)] == [[-0.5] * 3, [1.5] * 3]
    occupied = torch.zeros_like(radiance.occupancy.occupied)
    occupied[1, 8:12, 4, 31] = True  # of the cube of side 2
    occupied[2, 0, 0, 0] = True  # far away
    radiance.occupancy.set_occupied(occupied)
    low, high = export_box(radiance, WORLD, None)
    assert low.tolist() == pytest.approx([8 / 16 - 0.5, 4 / 16 - 0.5, 31 / 16 - 0.5])
    assert high.tolist() == pytest.approx([12 / 16 - 0.5, 5 / 16 - 0.5, 1.5])
    low, high = export_box(radiance, WORLD, [[-1, -1, 0], [1, 100, 2]])
    assert low.tolist() == pytest.approx([0.17, 0.17, 0.5])
    assert high.tolist() == pytest.approx([0.83, 2.5, 1.16])


@pytest.mark.parametrize("box", [[[1, 0, 0], [0, 1, 1]], [[50, 0, 0], [60, 1, 1]]])
def test_a_box_with_nothing_in_it_is_refused(box: list[list[float]]) -> None:
    with pytest.raises(TriptychError, match=r"export\.box.*within"):
        export_box(radiance_of(ball), WORLD, box)


def test_the_lattice_is_even_and_of_the_size_asked_for() -> None:
    pixels = pixel_lattice(60, 40, 4.0)
    assert len(pixels) == 150
    assert pixels[:2].tolist() == [[2.5, 2.5], [6.5, 2.5]]
    every = pixel_lattice(5, 3, 1.0)
    assert every.tolist() == [[x + 0.5, y + 0.5] for y in range(3) for x in range(5)]
    assert len(pixel_lattice(100, 100, 100 / 7.3)) in (49, 56, 64)


def test_a_ply_of_points_can_be_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    positions, normals = random.normal(size=(2, 50, 3))
    colours = random.integers(0, 256, (50, 3), dtype=np.uint8)
    write_ply(tmp_path / "points.ply", positions, normals, colours)
    read = trimesh.load(tmp_path / "points.ply")
    assert isinstance(read, trimesh.PointCloud)
    np.testing.assert_allclose(read.vertices, positions.astype(np.float32))
    np.testing.assert_array_equal(read.colors[:, :3], colours)
    stored = read.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_allclose(stored["ny"], normals[:, 1].astype(np.float32))


def test_a_triangle_survives_the_round_trip_through_glb(tmp_path: Path) -> None:
    corners = np.eye(3)
    write_glb(tmp_path / "one.glb", corners, corners, corners, np.array([[0, 1, 2]]))
    (read,) = trimesh.load_scene(tmp_path / "one.glb", process=False).geometry.values()
    assert isinstance(read, trimesh.Trimesh)
    np.testing.assert_allclose(read.vertices, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    np.testing.assert_array_equal(read.visual.vertex_attributes["color"], np.eye(3))
