"""Results that several test files read."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def study_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fabricated study with all its figures; a test that changes it copies it first."""
    from report_pages import make_figures
    from report_results import fabricate

    results = fabricate(tmp_path_factory.mktemp("study"))
    make_figures(results)
    return results
