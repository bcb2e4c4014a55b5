"""Meshes, point clouds and normals of fields whose surface is known in closed form."""

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
from torch import Tensor, nn

from triptych.radiance.evaluate import normal_colours
from triptych.radiance.export import export_box, export_scene, to_linear, write_glb, write_ply, y_up
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.mesh import Mesh, extract_mesh, sample_density, simplify, surface_colours
from triptych.radiance.normals import image_normals, normals_between
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.point_cloud import PointCloud, extract_points, pixel_lattice, surface_density
from triptych.radiance.render import RadianceField, RenderedImage
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")
MIDDLE = torch.tensor([0.5, 0.45, 0.55])
RADIUS = 0.3
LEVEL = 100.0
WORLD = World(0.33, np.array([0.5, 0.5, 0.5]))


def ball(positions: Tensor) -> Tensor:
    """Density that passes LEVEL at RADIUS from MIDDLE and falls off by orders of magnitude."""
    return LEVEL * torch.exp((RADIUS - (positions - MIDDLE).norm(dim=-1)) / 0.005).clamp(max=1e4)


def ball_and_crumb(positions: Tensor) -> Tensor:
    crumb = (0.05 - (positions - 0.05).norm(dim=-1)) / 0.005
    return torch.maximum(ball(positions), LEVEL * torch.exp(crumb).clamp(max=1e4))


def empty(positions: Tensor) -> Tensor:
    return torch.zeros(len(positions))


def colour_of(positions: Tensor) -> Tensor:
    """Smooth in position, not symmetric."""
    return 0.5 + 0.4 * torch.sin(3 * positions)


class Known(Field):
    """A field of known density; it is black seen from inside the ball."""

    def __init__(self, known: Callable[[Tensor], Tensor], aabb_scale: int = 1) -> None:
        super().__init__(FieldShape(aabb_scale=aabb_scale, levels=1, log2_table=8, finest_resolution=16))
        self.double()  # for which there are no compiled kernels: they would bypass this class
        self.known = known

    def density(self, positions: Tensor) -> Tensor:
        return self.known(positions)

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        inward = ((positions - MIDDLE) * directions).sum(dim=-1, keepdim=True) < 0
        return self.density(positions), colour_of(positions) * inward


def radiance_of(density: Callable[[Tensor], Tensor], *, aabb_scale: int = 1) -> RadianceField:
    occupancy = OccupancyGrid(aabb_scale=aabb_scale, resolution=32, device=CPU)
    return RadianceField(
        field=Known(density, aabb_scale),
        occupancy=occupancy,
        near=0.05,
        background=torch.zeros(3),
        step_scale=1.0,
        precision="float32",
    )


def mesh_of(
    density: Callable[[Tensor], Tensor], *, resolution: int = 48, min_component_fraction: float = 0.01
) -> tuple[Mesh, float]:
    low = torch.zeros(3)
    values, cell = sample_density(radiance_of(density), low, torch.ones(3), resolution=resolution)
    mesh = extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=min_component_fraction)
    return mesh, cell


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces, process=False)


def test_the_mesh_of_a_ball_is_that_ball() -> None:
    mesh, cell = mesh_of(ball)
    solid = as_trimesh(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.euler_number == 2
    # positive: counter-clockwise from outside
    assert solid.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.01)
    assert solid.area == pytest.approx(4 * math.pi * RADIUS**2, rel=0.01)
    distance = (mesh.vertices - MIDDLE).norm(dim=-1)
    assert (distance - RADIUS).abs().max() < 0.2 * cell
    assert (distance - RADIUS).mean().abs() < 0.1 * cell
    outward = (mesh.vertices - MIDDLE) / distance[:, None]
    assert (mesh.normals * outward).sum(dim=-1).min() > 0.98
    assert (mesh.normals * outward).sum(dim=-1).mean() > 0.998
    assert torch.allclose(mesh.normals.norm(dim=-1), torch.ones(len(distance)))


def test_small_pieces_are_left_out() -> None:
    both, alone = as_trimesh(mesh_of(ball_and_crumb, min_component_fraction=0)[0]), mesh_of(ball_and_crumb)[0]
    assert both.body_count == 2
    large, _ = mesh_of(ball_and_crumb, min_component_fraction=0.1)
    assert as_trimesh(large).body_count == 1
    assert len(large.vertices) == len(np.unique(large.faces))
    assert len(alone.faces) == len(both.faces)  # the crumb has more than a hundredth of the faces


def test_a_simplified_ball_is_still_that_ball_with_a_tenth_of_the_faces() -> None:
    mesh, cell = mesh_of(ball)
    small = simplify(mesh, max_faces=len(mesh.faces) // 10)
    solid = as_trimesh(small)
    assert 0.09 * len(mesh.faces) < len(small.faces) <= 0.1 * len(mesh.faces)
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.02)
    outward = torch.nn.functional.normalize(small.vertices - MIDDLE, dim=-1)
    assert ((small.vertices - MIDDLE).norm(dim=-1) - RADIUS).abs().max() < 0.3 * cell
    assert (small.normals * outward).sum(dim=-1).min() > 0.95
    assert simplify(mesh, max_faces=len(mesh.faces)) is mesh


def test_the_files_of_a_mesh_keep_to_its_budget(tmp_path: Path) -> None:
    files = export(tmp_path, ball, max_faces=1000, points=50)
    assert 900 < files.numbers["faces"] <= 1000
    assert (tmp_path / "mesh.glb").stat().st_size < 1000 * 34 + 2000  # bytes a face, and the header


def test_space_that_is_not_occupied_holds_no_surface() -> None:
    radiance = radiance_of(ball_and_crumb)
    occupied = radiance.occupancy.occupied.clone()
    occupied[:, :8, :8, :8] = False
    radiance.occupancy.set_occupied(occupied)
    low = torch.zeros(3)
    values, cell = sample_density(radiance, low, torch.ones(3), resolution=48)
    assert (
        as_trimesh(extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=0)).body_count == 1
    )


def test_a_box_cuts_the_surface_open() -> None:
    low, high = torch.tensor([0.0, 0.0, 0.5]), torch.ones(3)
    values, cell = sample_density(radiance_of(ball), low, high, resolution=40)
    assert values.shape == (41, 41, 21)
    mesh = extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=0)
    assert not as_trimesh(mesh).is_watertight
    assert mesh.vertices[:, 2].min() == pytest.approx(0.5, abs=1e-6)


def test_density_is_sampled_at_the_nodes_of_the_grid() -> None:
    low, high = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.6, 0.5])
    values, cell = sample_density(
        radiance_of(lambda x: x @ torch.tensor([1.0, 10.0, 100.0])), low, high, resolution=8
    )
    assert cell == pytest.approx(0.05)
    assert values.shape == (7, 9, 5)
    assert values[2, 3, 4] == pytest.approx((0.1 + 0.1) + 10 * (0.2 + 0.15) + 100 * (0.3 + 0.2))


def test_vertices_have_the_colours_seen_from_outside() -> None:
    mesh, cell = mesh_of(ball)
    colours = surface_colours(radiance_of(ball), mesh, cell=cell)
    assert (colours - colour_of(mesh.vertices)).abs().max() < 0.05


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


def look_from(eye: list[float], side: int) -> Cameras:
    """One camera at `eye` that looks at the ball's middle."""
    position = torch.tensor(eye)
    forward = nn.functional.normalize(MIDDLE - position, dim=0)
    right = nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    return Cameras(
        focal=torch.full((1, 2), 1.2 * side),
        centre=torch.full((1, 2), side / 2),
        distortion=torch.zeros(1, 4),
        rotation=torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)[None],
        position=position[None],
        size=torch.full((1, 2), side),
    )


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


def test_fog_that_fills_the_box_has_no_surface() -> None:
    assert len(mesh_of(lambda positions: torch.full((len(positions),), 1e4))[0].faces) == 0


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


def test_a_box_thinner_than_a_cell_is_refused() -> None:
    with pytest.raises(TriptychError, match=r"raise export\.resolution"):
        sample_density(radiance_of(ball), torch.zeros(3), torch.tensor([1.0, 1.0, 0.01]), resolution=32)


def ball_picture(side: int) -> tuple[RenderedImage, Cameras, Tensor]:
    """The exact depth of the ball from a slanted camera, and its normals in closed form."""
    cameras = look_from([1.2, -0.3, 0.9], side)
    origins, directions = cameras.image_rays(0)
    along = ((MIDDLE - origins) * directions).sum(dim=-1)
    inside = RADIUS**2 - ((MIDDLE - origins).square().sum(dim=-1) - along**2)
    depth = torch.where(inside > 0, along - inside.clamp(min=0).sqrt(), 3.0)
    normals = (origins + depth[:, None] * directions - MIDDLE) / RADIUS
    shape = (side, side)
    picture = RenderedImage(torch.zeros(*shape, 3), (inside > 0).float().view(shape), depth.view(shape))
    return picture, cameras, normals.view(*shape, 3)


@pytest.mark.parametrize("side", [96, 600])  # neighbours are 1 and 2 pixels away
def test_the_normals_of_a_ball_are_its_radii(side: int) -> None:
    picture, cameras, expected = ball_picture(side)
    found = image_normals(picture, cameras, 0)
    _, directions = cameras.image_rays(0)
    slant = -(expected * directions.view_as(expected)).sum(dim=-1)
    solid = picture.opacity > 0.5
    cosine = (found * expected).sum(dim=-1)
    assert cosine[solid & (slant > 0.3)].min() > 0.999
    # the last pixels before the silhouette have neighbours on one side only, but no worse
    assert cosine[solid].min() > 0.9
    assert torch.allclose(found.norm(dim=-1), torch.ones(side, side), atol=1e-5)


def test_normals_are_coloured_by_their_direction() -> None:
    picture, cameras, expected = ball_picture(96)
    colours = normal_colours(picture, cameras, 0)
    assert colours.dtype == np.uint8
    assert (colours[0, 0] == 255).all()
    np.testing.assert_allclose(colours[48, 48], 127.5 * (expected[48, 48] + 1), atol=1.5)


def test_a_step_in_depth_does_not_tilt_the_normals_beside_it() -> None:
    columns = torch.tensor([-1.0, 0.0, 1.0])
    centre, right, left = (torch.tensor([[x, 0.0, 2.0]]) for x in (columns[1], columns[2], columns[0]))
    behind = right + torch.tensor([0.0, 0.0, 50.0])
    below, above = (torch.tensor([[0.0, y, 2.0]]) for y in (1.0, -1.0))
    flat = torch.tensor([[0.0, 0.0, -1.0]])
    assert torch.allclose(normals_between(centre, right, left, below, above), flat)
    assert (normals_between(centre, behind, left, below, above) * flat).sum() > 0.999
    # on the border of the image, a point stands in for the neighbour that is not there
    assert torch.allclose(normals_between(centre, centre, left, below, above), flat)


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
