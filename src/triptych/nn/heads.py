"""The projection head g that SimCLR trains on top of the encoder and then discards."""

from torch import nn


def projection_head(features: int, hidden: int, out: int) -> nn.Sequential:
    """Linear, ReLU, Linear: (N, features) -> (N, out). The report has 512, 512, 128."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))
