"""Shared by all tests."""

import resource
from collections.abc import Iterator

import pytest
import torch

# The tensors of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may outgrow 4 KiB: who writes more meets what a full disk does, with the error number EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
