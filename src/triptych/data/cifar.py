"""CIFAR-10 and CIFAR-100 from their python archives or the folders unpacked from them.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.cifar_files import Layout, find_unpacked, read_archive, read_file
from triptych.data.packed import LabelledImages, Superclasses
from triptych.data.pickles import load_pickled_dict
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_file, digest_of_files, hash_mismatch

SIDE = 32


def _batch(
    batch: Mapping[str, Any], layout: Layout, where: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 32, 32, 3) and labels (N,) of one batch file, whose rows are red, green, blue planes."""
    data, labels = batch.get("data"), batch.get(layout.label_key)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE:
        problem = f"no images of {SIDE}x{SIDE} pixels"
    elif not isinstance(labels, list) or len(labels) != len(data):
        problem = f"no '{layout.label_key}' for its images"
    elif not all(isinstance(label, int) and 0 <= label < layout.num_classes for label in labels):
        problem = f"labels outside 0..{layout.num_classes - 1}"
    else:
        images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), np.array(labels, dtype=np.int64)
    raise TriptychError(f"{where} has {problem}; get the official archive")


def _superclasses(
    meta: Mapping[str, Any], batches: Iterable[Mapping[str, Any]], layout: Layout, where: str
) -> Superclasses | None:
    """The superclass of each class, from the two labels of CIFAR-100's images; None if some class has none.
    Raises `TriptychError` if images of one class have several superclasses, or unnamed ones.
    """
    names = meta.get("coarse_label_names")
    if not isinstance(names, list):
        return None
    of_class: dict[int, int] = {}
    for batch in batches:
        fine, coarse = batch[layout.label_key], batch.get("coarse_labels")
        if not isinstance(coarse, list):
            return None
        for label, group in zip(fine, coarse, strict=False):
            known = isinstance(group, int) and 0 <= group < len(names)
            if not known or of_class.setdefault(label, group) != group:
                raise TriptychError(
                    f"{where}: class {label} has no single superclass; get the official archive"
                )
    if len(of_class) != layout.num_classes:
        return None
    return Superclasses(tuple(map(str, names)), tuple(of_class[label] for label in range(len(of_class))))


def _read_files(path: Path, hashes: Mapping[str, str]) -> tuple[Layout, dict[str, bytes], dict[str, str]]:
    """Which archive it is, the contents by file name, and the digests of what was read."""
    if path.is_dir():
        layout, folder = find_unpacked(path)
        contents = {name: read_file(folder / name) for name in layout.files}
        return layout, contents, {"files_digest": digest_of_files([str(folder / name) for name in contents])}
    if not path.is_file():
        raise TriptychError(f"{path} does not exist; correct `path` in the config")
    if problem := hash_mismatch(path, hashes):
        raise TriptychError(f"{path} has the {problem}; correct the config or get the archive again")
    return *read_archive(path), {name: digest_of_file(path, name) for name in ("sha256", "md5")}


def read_cifar(
    path: str | Path, *, expect: str | None = None, hashes: Mapping[str, str] | None = None
) -> LabelledImages:
    """Read an archive or its unpacked folder: images of 32x32 pixels with the fine labels, and superclasses.

    `expect` is `cifar10` or `cifar100` if it must be that one; else it is recognised by its content. `hashes`
    are those that an archive file must have; `source` has those of what was read. Raises `TriptychError` if
    it is missing, damaged, dangerous, has a wrong hash, or is another data set than expected.
    """
    path = Path(path)
    layout, contents, digests = _read_files(path, hashes or {})
    if expect not in (None, layout.kind):
        raise TriptychError(f"{path} holds {layout.kind}, not {expect}; correct `source` or its mirrors")
    loaded = {name: load_pickled_dict(contents[name], f"{path}: {name}") for name in layout.files}
    names = loaded[layout.meta].get(layout.names_key)
    if not isinstance(names, list) or len(names) != layout.num_classes:
        raise TriptychError(f"{path}: {layout.meta} does not name {layout.num_classes} classes; get it again")
    *train, (test_images, test_labels) = (
        _batch(loaded[name], layout, f"{path}: {name}") for name in (*layout.train, layout.test)
    )
    batches = [loaded[name] for name in (*layout.train, layout.test)]
    return LabelledImages(
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=test_images,
        test_labels=test_labels,
        classes=tuple(map(str, names)),
        source={"kind": layout.kind, "path": str(path), **digests},
        superclasses=_superclasses(loaded[layout.meta], batches, layout, str(path)),
    )
