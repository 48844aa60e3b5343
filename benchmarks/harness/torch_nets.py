"""The networks in plain PyTorch, with native convolutions, batch norms, poolings and interpolations."""

import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from mpnet_jax.models.unet import MAX_WIDTH


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        channels_in: Input channels.
        channels: Output channels.
        stride: Stride of the first convolution.
        dilations: Dilations of the two convolutions.
        momentum: Momentum of the running statistics.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, dilations: tuple[int, int], momentum: float):
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=first, dilation=first, bias=False)
        self.norm1 = nn.BatchNorm2d(channels, momentum=momentum)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=second, dilation=second, bias=False)
        self.norm2 = nn.BatchNorm2d(channels, momentum=momentum)
        self.shortcut = nn.Identity()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels, momentum=momentum)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, channel, height, width) to the same axes, after the ReLU."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet18(nn.Module):
    """Frame network, from pictures to a map of visual vectors.

    Args:
        out_channels: Length of a visual vector.
        features: Channels of the first stage.
        dilated: Dilate the last stage instead of halving its map.
        momentum: Momentum of the running statistics.
    """

    def __init__(self, out_channels: int, features: int, *, dilated: bool, momentum: float):
        super().__init__()
        self.conv_in = nn.Conv2d(3, features, 7, 2, padding=3, bias=False)
        self.norm_in = nn.BatchNorm2d(features, momentum=momentum)
        blocks = []
        channels_in = features
        for stage in range(4):
            channels = features * 2**stage
            widen = stage == 3 and dilated
            stride = 1 if stage == 0 or widen else 2
            dilations = ((1, 2), (2, 2)) if widen else ((1, 1), (1, 1))
            blocks.append(BasicBlock(channels_in, channels, stride, dilations[0], momentum))
            blocks.append(BasicBlock(channels, channels, 1, dilations[1], momentum))
            channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.conv_out = nn.Conv2d(channels_in, out_channels, 3, padding=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Maps normalised pictures (batch, 3, height, width) to (batch, out, h, w)."""
        x = F.relu(self.norm_in(self.conv_in(pictures)), inplace=True)
        return self.conv_out(self.blocks(F.max_pool2d(x, 3, 2, padding=1)))


class UNet(nn.Module):
    """Strided 4x4 convolutions down, bilinear doubling and 3x3 convolutions up, with skips.

    Args:
        depth: Number of halvings.
        features: Channels of the first convolution.
        out_channels: Number of feature maps.
        momentum: Momentum of the running statistics.
    """

    def __init__(self, depth: int, features: int, out_channels: int, *, momentum: float):
        super().__init__()
        widths = [features * min(2**level, MAX_WIDTH) for level in range(depth)]
        self.norm_in = nn.BatchNorm2d(1, momentum=momentum)
        self.down = nn.ModuleList(
            nn.Conv2d(below, width, 4, 2, padding=1, bias=False)
            for below, width in zip([1, *widths], widths, strict=False)
        )
        self.down_norm = nn.ModuleList(
            nn.BatchNorm2d(width, momentum=momentum) if 0 < level < depth - 1 else nn.Identity()
            for level, width in enumerate(widths)
        )
        self.up, self.up_norm = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            channels_in = width if level == depth - 1 else 2 * width
            out = widths[level - 1] if level else out_channels
            self.up.append(nn.Conv2d(channels_in, out, 3, padding=1, bias=level == 0))
            self.up_norm.append(nn.BatchNorm2d(out, momentum=momentum) if level else nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, 1, freq, time) to (batch, out, freq, time)."""
        x = self.norm_in(x)
        skips = []
        for level, (conv, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            # In place is safe: the ReLU of a leaky ReLU's output is that of its input.
            x = F.leaky_relu(x, 0.2, inplace=True) if level else x
            if level:
                skips.append(x)
            x = norm(conv(x))
        for level in reversed(range(len(self.up))):
            x = F.relu(x, inplace=True)
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = self.up_norm[level](self.up[level](x))
            if level:
                x = torch.cat([skips[level - 1], x], 1)
        return x
