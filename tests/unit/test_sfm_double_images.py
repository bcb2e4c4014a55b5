"""Models in which something is there twice, at small reprojection errors, are recognised and made again."""

import pycolmap
from colmap_cases import SETTINGS, synthetic

import triptych.sfm.mapping
from triptych.sfm.double_images import DoubleImages, find_double_images
from triptych.sfm.mapping import map_scene


def split(model, second):
    """Give the images `second` points of their own, in the very places of the others' points."""
    for number in list(model.point3D_ids()):
        point = model.point3D(number)
        moved = [(one.image_id, one.point2D_idx) for one in point.track.elements if one.image_id in second]
        if 2 <= len(moved) <= len(point.track.elements) - 2:
            position = point.xyz.copy()
            track = pycolmap.Track()
            for image, place in moved:
                model.delete_observation(image, place)
                track.add_element(image, place)
            model.add_point3D(position, track)


def test_a_good_model_has_no_double_images(tmp_path):
    found = find_double_images(synthetic(tmp_path / "database.db", frames=90))
    assert found.pairs >= 10
    assert found.apart == []
    assert not found.found


def test_groups_of_cameras_that_see_the_same_place_by_other_points_are_found(tmp_path):
    model = synthetic(tmp_path / "database.db", frames=90)
    images = sorted(model.reg_image_ids())
    split(model, set(images[::2]))
    found = find_double_images(model)
    assert found.found
    names = [model.image(number).name for number in images]
    groups = [{names.index(name) % 2 for name in pair} for pair in found.apart]
    assert all(group == {0, 1} for group in groups)
    assert (
        f"{len(found.apart)} of {found.pairs} pairs of images that should show the same points"
        in found.advice
    )


def test_a_model_with_double_images_is_made_again_from_other_images(tmp_path, monkeypatch, caplog):
    """What is found in the models is replaced: a synthetic capture that misleads COLMAP is not to be had."""
    synthetic(tmp_path / "database.db", frames=12)
    verdicts = iter(
        [DoubleImages(20, [("a", "b")] * 9), DoubleImages(20, [("a", "b")] * 5), DoubleImages(20, [])]
    )
    monkeypatch.setattr(triptych.sfm.mapping, "find_double_images", lambda model: next(verdicts))
    result = map_scene(tmp_path, tmp_path / "database.db", tmp_path / "sfm", settings=SETTINGS)
    tried = [(one["attempt"], one["double_images"], one["chosen"]) for one in result["attempts"]]
    assert tried == [
        ("as configured", 9, False),
        ("as configured, start 2", 5, False),
        ("as configured, start 3", 0, True),
    ]
    assert result["advice"] is None


def test_poses_that_stay_double_are_warned_of(tmp_path, monkeypatch, caplog):
    synthetic(tmp_path / "database.db", frames=12)
    monkeypatch.setattr(triptych.sfm.mapping, "STARTS", 2)
    monkeypatch.setattr(
        triptych.sfm.mapping, "find_double_images", lambda model: DoubleImages(20, [("a.png", "b.png")] * 9)
    )
    result = map_scene(tmp_path, tmp_path / "database.db", tmp_path / "sfm", settings=SETTINGS)
    assert len(result["attempts"]) == 2
    assert "something is in the model twice" in result["advice"]
    assert "POSES ARE PROBABLY WRONG" in caplog.text
