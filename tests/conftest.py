"""Shared by all tests."""

import torch
from hypothesis import settings

# The tensors of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)
# A property holds however busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
