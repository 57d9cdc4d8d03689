"""The modules of heads for detection and segmentation.

`search_spaces.network` builds the body and hands over its feature maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.heads.specs import ExtraSpec, LRASPPHead, RASPPHead, SSDLiteHead
from search_spaces.layers import GATES, ConvBnAct, draw_normal

PREDICTOR_STD = 0.03
"""Standard deviation of the weights of SSDLite's layers, as in TensorFlow and torchvision."""

CLASSIFIER_STD = 0.01
"""That of the 1x1 classifiers of segmentation heads, as in DeepLab."""

RARE = -4.6
"""First bias of sigmoid scores, for which every class has a probability of 0.01: as in focal loss."""


class Extra(nn.Sequential):
    """One `ExtraSpec`: maps (batch, `cin`, h, w) to (batch, out, ceil(h / 2), ceil(w / 2))."""

    def __init__(self, extra: ExtraSpec, cin: int, eps: float) -> None:
        inner = extra.inner
        super().__init__(
            ConvBnAct(cin, inner, act="relu6", eps=eps),
            ConvBnAct(inner, inner, kernel=3, stride=2, groups=inner, act="relu6", eps=eps),
            ConvBnAct(inner, extra.out, act="relu6", eps=eps),
        )


class Predictor(nn.Sequential):
    """A separable convolution: (batch, `channels`, h, w) to (batch, h * w * anchors, `columns`)."""

    def __init__(self, channels: int, *, anchors: int, columns: int, eps: float) -> None:
        super().__init__(
            ConvBnAct(channels, channels, kernel=3, groups=channels, act="relu6", eps=eps),
            nn.Conv2d(channels, anchors * columns, 1),
        )
        self.columns = columns

    @property
    def last(self) -> nn.Conv2d:
        """The 1x1 convolution."""
        found = self[1]
        assert isinstance(found, nn.Conv2d)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Predict `columns` numbers for each anchor; the anchors of a cell follow one another."""
        y: Tensor = self.last(self[0](x))  # (batch, anchors * columns, h, w)
        # `y.shape[0]` stays free in an exported graph, `len(y)` does not.
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, self.columns)


class SSDLite(nn.Module):
    """Maps C4 and the body's output to class scores and box offsets of every anchor."""

    def __init__(self, head: SSDLiteHead, taps: Sequence[int], cin: int, eps: float) -> None:
        super().__init__()
        self.rare = RARE if head.scores == "sigmoid" else 0.0
        self.conv = ConvBnAct(cin, head.conv, act=head.act, eps=eps) if head.conv else nn.Identity()
        widths = [*taps, head.conv or cin]
        self.extras = nn.ModuleList()
        for extra in head.extras:
            self.extras.append(Extra(extra, widths[-1], eps))
            widths.append(extra.out)
        places = list(zip(widths, head.anchors_per_cell, strict=True))
        self.scores, self.boxes = (
            nn.ModuleList(Predictor(width, anchors=n, columns=k, eps=eps) for width, n in places)
            for k in (head.classes + 1, 4)
        )

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights of all layers but `conv`."""
        for layers in (self.extras, self.scores, self.boxes):
            draw_normal(layers, PREDICTOR_STD, generator)
        for predictor in self.scores:
            assert isinstance(predictor, Predictor)
            assert predictor.last.bias is not None
            nn.init.constant_(predictor.last.bias, self.rare)

    def forward(self, c4: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (batch, anchors, classes + 1) and offsets (batch, anchors, 4), map by map."""
        maps = [c4, self.conv(last)]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        scores = [predict(x) for predict, x in zip(self.scores, maps, strict=True)]
        boxes = [predict(x) for predict, x in zip(self.boxes, maps, strict=True)]
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)


class LRASPP(nn.Module):
    """Maps a map of stride 8 and the body's output to class scores of each pixel of the first."""

    def __init__(self, head: LRASPPHead, taps: Sequence[int], cin: int, eps: float) -> None:
        super().__init__()
        (low,) = taps
        self.pool, self.pool_stride = head.pool, head.pool_stride
        self.conv = ConvBnAct(cin, head.conv, act=head.act, eps=eps) if head.conv else nn.Identity()
        width = head.conv or cin
        self.branch = ConvBnAct(width, head.filters, act="relu", eps=head.bn_eps)
        self.scale = nn.Conv2d(width, head.filters, 1, bias=False)
        self.gate = GATES[head.gate]()
        self.low = nn.Conv2d(low, head.classes, 1)
        self.high = nn.Conv2d(head.filters, head.classes, 1)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights of the classifiers."""
        draw_normal(self.low, CLASSIFIER_STD, generator)
        draw_normal(self.high, CLASSIFIER_STD, generator)

    def forward(self, low: Tensor, last: Tensor) -> Tensor:
        """Return logits (batch, classes, h, w) of the size of `low`."""
        high = self.conv(last)
        x = self.branch(high) * self._gate(high)
        x = functional.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.low(low) + self.high(x)
        return logits

    def _gate(self, high: Tensor) -> Tensor:
        """Return factors that multiply maps like `high`: (batch, filters, 1 or h, 1 or w)."""
        if not self.pool:
            return self.gate(self.scale(functional.adaptive_avg_pool2d(high, 1)))  # type: ignore[no-any-return]
        h, w = int(high.shape[-2]), int(high.shape[-1])
        pooled = functional.avg_pool2d(
            high, (min(self.pool, h), min(self.pool, w)), self.pool_stride
        )
        gate = self.gate(self.scale(pooled))
        return functional.interpolate(gate, size=(h, w), mode="bilinear", align_corners=False)


class RASPP(nn.Module):
    """Maps the body's output to class scores of each of its pixels."""

    def __init__(self, head: RASPPHead, cin: int, eps: float) -> None:
        super().__init__()
        self.conv = ConvBnAct(cin, head.conv, act=head.act, eps=eps) if head.conv else nn.Identity()
        width, f = head.conv or cin, head.filters
        self.branch = ConvBnAct(width, f, act="relu", eps=head.bn_eps)
        self.pooled = ConvBnAct(width, f, act="relu", eps=head.bn_eps)
        # One convolution of both, concatenated: its half for the image's mean is the same for each pixel.
        self.project = ConvBnAct(f, f, act="relu", eps=head.bn_eps)
        self.context = nn.Conv2d(f, f, 1, bias=False)
        self.high = nn.Conv2d(f, head.classes, 1)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights of the classifier."""
        draw_normal(self.high, CLASSIFIER_STD, generator)

    def forward(self, last: Tensor) -> Tensor:
        """Return logits (batch, classes, h, w) of the size of the body's output."""
        high = self.conv(last)
        context = self.context(self.pooled(functional.adaptive_avg_pool2d(high, 1)))
        convolution, norm, act = self.project
        logits: Tensor = self.high(act(norm(convolution(self.branch(high)) + context)))
        return logits
