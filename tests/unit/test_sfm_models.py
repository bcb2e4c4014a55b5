"""COLMAP's models: merged, with a lens that the views carry, with held-out images."""

import numpy as np
import pycolmap
import pytest
from colmap_cases import SETTINGS, synthetic

from triptych.sfm.database import count_matches
from triptych.sfm.held_out import held_out_names
from triptych.sfm.lens import refine, simplify_lenses
from triptych.sfm.mapping import map_scene
from triptych.sfm.models import file_ranges, merge_models, registered_names


def test_ranges_of_files():
    names = [f"{number}.jpg" for number in range(10)]
    assert file_ranges(["0.jpg", "1.jpg", "2.jpg", "5.jpg"], names) == "0.jpg - 2.jpg, 5.jpg"
    assert file_ranges(names[::2], names).endswith("1 more ranges")


def part_of(model, positions):
    """A copy of a model with the images at these positions alone, in coordinates of its own."""
    part = pycolmap.Reconstruction(model)
    keep = {sorted(model.reg_image_ids())[position] for position in positions}
    for number in list(part.reg_image_ids()):
        if number not in keep:
            part.deregister_frame(part.image(number).frame_id)
    part.transform(pycolmap.Sim3d(2.0, pycolmap.Rotation3d(), np.array([1.0, 2.0, 3.0])))
    return part


def test_models_that_share_images_are_merged(tmp_path):
    whole = synthetic(tmp_path / "database.db", frames=12)
    models = [part_of(whole, range(8)), part_of(whole, range(4, 12))]
    models[1].transform(pycolmap.Sim3d(0.3, pycolmap.Rotation3d(), np.zeros(3)))
    merged, *rest = merge_models(models, tmp_path / "database.db", tmp_path, seed=0)
    assert not rest
    assert merged.num_reg_images() == 12
    assert merged.compute_mean_reprojection_error() < 0.1
    assert merged.num_points3D() > 200


def test_models_that_share_too_few_images_stay_apart(tmp_path):
    whole = synthetic(tmp_path / "database.db", frames=12)
    models = [part_of(whole, range(7)), part_of(whole, range(6, 12))]
    sizes = [
        model.num_reg_images() for model in merge_models(models, tmp_path / "database.db", tmp_path, seed=0)
    ]
    assert sizes == [7, 6]


def test_a_few_views_get_a_lens_of_one_focal_length_with_its_centre_in_the_middle(tmp_path):
    for frames, model in ((6, "SIMPLE_RADIAL"), (20, "OPENCV")):
        path = tmp_path / f"{frames}.db"
        synthetic(path, frames=frames)
        simplify_lenses(path, everywhere=False)
        with pycolmap.Database.open(path) as database:
            assert [camera.model_name for camera in database.read_all_cameras()] == [model]
    simplify_lenses(path, everywhere=True)
    with pycolmap.Database.open(path) as database:
        (camera,) = database.read_all_cameras()
        assert (camera.model_name, list(camera.params)) == ("SIMPLE_RADIAL", [700, 400, 300, 0])


@pytest.mark.parametrize(
    ("frames", "centre", "expected", "note"),
    [
        (20, (412, 300), (412, 300), "adjusted"),
        (20, (330, 300), (400, 300), "centre: adjustment moves it by"),
        (8, (412, 300), (400, 300), "centre: 8 views"),
        (20, (400, 300), (400, 300), "centre: another place explains the images no better"),
    ],
)
def test_the_principal_point_has_the_freedom_that_the_views_carry(tmp_path, frames, centre, expected, note):
    parameters = [700.0, 700.0, *map(float, centre), 0.02, 0.0, 0.0, 0.0]
    model = synthetic(tmp_path / "database.db", frames=frames, camera_params=parameters)
    options = pycolmap.SyntheticNoiseOptions()
    options.point2D_stddev = 0.5
    pycolmap.synthesize_noise(options, model)
    (camera,) = model.cameras.values()
    camera.params = [700.0, 700.0, 400.0, 300.0, 0.02, 0.0, 0.0, 0.0]
    refined, notes = refine(model)
    (lens,) = refined.cameras.values()
    assert (lens.principal_point_x, lens.principal_point_y) == pytest.approx(expected, abs=4)
    assert next(iter(notes.values())).startswith(note)


@pytest.mark.parametrize("mapper", ["incremental", pytest.param("global", marks=pytest.mark.slow)])
def test_held_out_images_are_registered_afterwards_against_a_model_without_them(tmp_path, mapper):
    path = tmp_path / "database.db"
    truth = synthetic(path, frames=16)
    images = tmp_path / "images"
    images.mkdir()
    settings = SETTINGS | {"mapper": mapper}
    found = map_scene(images, path, tmp_path / "sfm", settings=settings, holdout=4)
    names = registered_names(truth)
    assert found["held_out"] == held_out_names(names, 4) == names[::4]
    assert found["registered"] == found["images"] == 16
    model = pycolmap.Reconstruction(tmp_path / "sfm")
    answer = pycolmap.align_reconstructions_via_proj_centers(model, truth, max_proj_center_error=0.05)
    assert answer is not None
    model.transform(answer)
    for name in found["held_out"]:
        mine, true = (one.find_image_with_name(name) for one in (model, truth))
        assert np.linalg.norm(mine.projection_center() - true.projection_center()) < 0.05
        assert mine.num_points3D == 0, "its features are part of no point"
    assert count_matches(path).images == 16
