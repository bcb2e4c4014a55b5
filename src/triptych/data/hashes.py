"""Whether a file is the one that was meant."""

from collections.abc import Mapping
from pathlib import Path

from triptych.workflow.files import digest_of_file


def mismatch(path: str | Path, expected: Mapping[str, str]) -> str | None:
    """Compare a file with `{algorithm: hex digest}`; one line about the first difference, or None."""
    for algorithm, digest in expected.items():
        got = digest_of_file(path, algorithm)
        if got != digest.lower():
            return f"wrong {algorithm}: expected {digest}, got {got}"
    return None
