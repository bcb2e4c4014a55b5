"""SimCLR steps as they are commonly written: torchvision on PIL images in loader workers, float32.

Batch of 128, head 512-512-128, temperature 0.5, Adam; no blur. `python run_report.py DEVICE`.
"""

import sys

import torch
import torch.nn.functional as F
from PIL import Image
from simclr_contestant import Pictures, cifar_resnet18, serve
from torch import Tensor, nn
from torchvision import transforms as T


class TwoViews:
    """Two views of a picture."""

    def __init__(self) -> None:
        self.view = T.Compose(
            [
                T.RandomResizedCrop(32),
                T.RandomHorizontalFlip(),
                T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                T.RandomGrayscale(0.2),
                T.ToTensor(),
                T.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __call__(self, picture: Image.Image) -> tuple[Tensor, Tensor]:
        """(3, 32, 32) float32, twice."""
        return self.view(picture), self.view(picture)


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Rows i and i + N are the two views of picture i."""
    z = F.normalize(z, dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(z), device=z.device).roll(len(z) // 2))


def main() -> None:
    """Serve steps."""
    device = torch.device(sys.argv[1])
    dataset = Pictures()
    dataset.transform = TwoViews()
    head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Linear(512, 128))
    model = nn.Sequential(cifar_resnet18(), head).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)

    def learn(batch: list) -> None:
        views, _ = batch
        loss = nt_xent(model(torch.cat(views).to(device)), 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    serve(dataset, learn)


if __name__ == "__main__":
    main()
