"""The face network whose weights others publish: IResNet (Duta et al., arXiv 2004.04989) as ArcFace trains it.

Names are those of insightface's weights, so that a converted file loads as it is; how deep it is, is read off the file.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

EPS, WIDTHS, SIDE = 1e-5, (64, 128, 256, 512), 112


class Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution, norm, beside the input."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside, EPS)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside, EPS)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside, EPS)
        self.downsample = (
            None
            if stride == 1
            else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside, EPS))
        )

    def forward(self, x: Tensor) -> Tensor:
        made = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return made + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """Faces [B, 3, 112, 112] in [-1, 1] -> embeddings [B, 512]."""

    def __init__(self, depths: tuple[int, ...], width: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(64, EPS), nn.PReLU(64)
        inside = 64
        for number, (depth, outside) in enumerate(zip(depths, WIDTHS, strict=True), 1):
            blocks = [Block(inside, outside, 2), *(Block(outside, outside, 1) for _ in range(depth - 1))]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            inside = outside
        self.bn2 = nn.BatchNorm2d(512, EPS)
        self.fc = nn.Linear(512 * (SIDE // 16) ** 2, width)
        self.features = nn.BatchNorm1d(width, EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        made: Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return made


def load_arcface(file: Path) -> IResNet:
    """The network of a safetensors file, of the depth that its names tell. ValueError where it is another's."""
    try:
        state = load_file(file)
        found = [re.match(r"layer(\d)\.(\d+)\.", key) for key in state]
        blocks = {(int(one[1]), int(one[2])) for one in found if one}
        depths = tuple(len({index for layer, index in blocks if layer == number}) for number in (1, 2, 3, 4))
        model = IResNet(depths, len(state["features.weight"]))
        model.load_state_dict(state)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{file} holds no IResNet as insightface names its parts ({reason}).") from error
    return model.eval().requires_grad_(False)
