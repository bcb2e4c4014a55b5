"""Names of frames that every tool down the line can read."""

import re


def plain_name(name: str) -> str:
    """The name without spaces and leading `#`: COLMAP's lists of images split and skip at those."""
    return re.sub(r"\s|^#", "_", name)
