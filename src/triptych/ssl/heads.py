"""The projection head g that SimCLR trains on top of the encoder and then discards."""

from torch import nn


def projection_head(features: int, hidden: int, out: int, *, norm: bool = False) -> nn.Sequential:
    """Linear, ReLU, Linear: (N, features) -> (N, out). The report has 512, 512, 128.

    With `norm`, batch normalisation stands before the ReLU, as in SimCLR's own code.
    """
    return nn.Sequential(
        nn.Linear(features, hidden, bias=not norm),
        *([nn.BatchNorm1d(hidden)] if norm else []),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out),
    )
