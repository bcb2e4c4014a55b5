"""Shared by all tests."""

import torch

# The tensors of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)
