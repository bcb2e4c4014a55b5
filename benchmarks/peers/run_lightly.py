"""SimCLR steps of lightly's parts in a plain loop: its transform, dataset, head and loss.

What stands in no default of the library is as in its examples: SGD at 0.06, one view after the
other through the network. `python run_lightly.py DEVICE default|bf16`; bf16 adds autocast.
"""

import sys

import torch
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from simclr_contestant import Pictures, cifar_resnet18, serve
from torch import nn


def main() -> None:
    """Serve steps."""
    device, precision = torch.device(sys.argv[1]), sys.argv[2]
    dataset = LightlyDataset.from_torch_dataset(Pictures(), transform=SimCLRTransform(input_size=32))
    model = nn.Sequential(cifar_resnet18(), SimCLRProjectionHead(512, 512, 128)).to(device)
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)

    def learn(batch: list) -> None:
        first, second = (view.to(device) for view in batch[0])
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = criterion(model(first), model(second))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    serve(dataset, learn)


if __name__ == "__main__":
    main()
