"""torchvision's reference training of SSDLite and LR-ASPP, written from its published settings.

Detection: references/detection with `--data-augmentation ssdlite --lr 0.15 --lr-scheduler
cosineannealinglr --weight-decay 0.00004` on 8 x 24 images. Segmentation: references/segmentation with its
default rate of 0.01 on 8 x 4 images, a polynomial schedule and random scales of 0.5 to 2. The rates are
scaled in proportion to the batch. Both begin with pretrained bodies, as ours do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import models, tv_tensors
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead, _mobilenet_extractor
from torchvision.models.segmentation.lraspp import LRASPP
from torchvision.transforms import v2

from nas.checkpoints.checkpoint import Checkpoint
from nas.data.image_files.pictures import Pictures, SomePictures
from search_spaces.torchvision_keys import scheme_of, to_torchvision

HEAD_NORM: Callable[..., nn.Module] = lambda channels: nn.BatchNorm2d(  # noqa: E731
    channels, eps=0.001, momentum=0.03
)
MOMENTUM = 0.9
DETECTION_RATE, DETECTION_BATCH, DETECTION_DECAY = 0.15, 8 * 24, 4e-5
SEGMENTATION_RATE, SEGMENTATION_BATCH, SEGMENTATION_DECAY = 0.01, 8 * 4, 1e-6
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROPPED = 480 / 520
"""Side of a training crop, as a fraction of the size that images are scaled around."""

IGNORED = 255


def body(classifier: Checkpoint) -> models.MobileNetV2 | models.MobileNetV3:
    """Return torchvision's network of the same weights."""
    classes = classifier.spec.head.classes
    make = {
        "mobilenet_v2": models.mobilenet_v2,
        "mobilenet_v3": models.mobilenet_v3_large
        if len(classifier.spec.blocks) == 15
        else models.mobilenet_v3_small,
    }[scheme_of(classifier.spec)]
    network = make(num_classes=classes)
    network.load_state_dict(to_torchvision(classifier.weights, classifier.spec))
    return network


def detector(classifier: Checkpoint, *, classes: int, px: int) -> SSD:
    """Return torchvision's SSDLite on a classifier's body."""
    network = body(classifier)
    if isinstance(network, models.MobileNetV2):
        # Its blocks have the same layers under another name than those that the extractor looks for.
        for block in network.features[1:-1]:
            block.block = block.conv
    extractor = _mobilenet_extractor(network, 6, HEAD_NORM)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    with torch.no_grad():
        maps = extractor.eval()(torch.zeros(1, 3, px, px))
    channels = [one.shape[1] for one in maps.values()]
    head = SSDLiteHead(channels, anchors.num_anchors_per_location(), classes + 1, HEAD_NORM)
    return SSD(
        extractor,
        anchors,
        (px, px),
        classes + 1,
        head=head,
        image_mean=list(classifier.usage.mean),
        image_std=list(classifier.usage.std),
        score_thresh=0.001,
        nms_thresh=0.55,
        detections_per_img=300,
        topk_candidates=300,
    )


class _Maps(nn.Module):
    """A body that returns the map at stride 8 and the last one, at stride 16."""

    def __init__(self, layers: nn.Sequential, low: int) -> None:
        super().__init__()
        self.layers, self.low = layers, low

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = OrderedDict[str, Tensor]()
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == self.low:
                found["low"] = x
        found["high"] = x
        return found


def segmenter(classifier: Checkpoint, *, classes: int) -> LRASPP:
    """Return torchvision's LR-ASPP on a classifier's body, dilated to output stride 16."""
    network = body(classifier)
    layers = network.features
    if isinstance(network, models.MobileNetV2):
        layers = layers[:-1]
    strides, stride, low = [], 1, 0
    for index, layer in enumerate(layers):
        for conv in (one for one in layer.modules() if isinstance(one, nn.Conv2d)):
            if conv.stride[0] == 2 and stride >= 16:
                conv.stride = (1, 1)
                strides.append(index)
            stride *= conv.stride[0]
            if strides and conv.groups > 1:
                pad = conv.kernel_size[0] // 2 * 2
                conv.dilation, conv.padding = (2, 2), (pad, pad)
        low = low or (index if stride == 8 else 0)
    with torch.no_grad():
        maps = _Maps(layers, low).eval()(torch.zeros(1, 3, 64, 64))
    widths = {name: one.shape[1] for name, one in maps.items()}
    return LRASPP(
        _Maps(layers, low),
        low_channels=widths["low"],
        high_channels=widths["high"],
        num_classes=classes,
    )


def annotated(pictures: Pictures, index: int) -> tuple[Any, int]:
    """Return the annotated pictures that a part of a split is taken from, and the index in them."""
    if isinstance(pictures, SomePictures):
        return annotated(pictures.whole, int(pictures.indices[index]))
    return pictures, index


class _Boxes(torch.utils.data.Dataset[Any]):
    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.change = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomIoUCrop(),
                v2.RandomHorizontalFlip(),
                v2.SanitizeBoundingBoxes(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.pictures.open(index).convert("RGB")
        whole, at = annotated(self.pictures, index)
        rows = torch.from_numpy(whole.objects[at])
        width, height = image.size
        corners = rows[:, 1:5] * torch.tensor([width, height, width, height])
        boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width))
        pixels, target = self.change(image, {"boxes": boxes, "labels": rows[:, 0].long() + 1})
        return pixels, target


class _Masks(torch.utils.data.Dataset[Any]):
    def __init__(self, pictures: Pictures, classifier: Checkpoint, px: int) -> None:
        self.pictures = pictures
        crop = round(CROPPED * px)
        self.change = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomResize(px // 2, 2 * px),
                v2.RandomHorizontalFlip(),
                v2.RandomCrop(
                    crop,
                    pad_if_needed=True,
                    fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORED},
                ),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(classifier.usage.mean, classifier.usage.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.pictures.open(index).convert("RGB")
        whole, at = annotated(self.pictures, index)
        pixels, mask = self.change(image, tv_tensors.Mask(whole.original(at)))
        return pixels, mask.long()


def _loader(dataset: Any, batch_size: int, *, collate: Any = None) -> Any:
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=True, drop_last=True, collate_fn=collate
    )


def _pairs(batch: list[Any]) -> tuple[Any, ...]:
    return tuple(zip(*batch, strict=True))


def train_detector(
    network: SSD, pictures: Pictures, *, batch_size: int, epochs: int, times: float = 1
) -> Iterator[int]:
    """Train a detector at the reference rate multiplied by `times`; yield each step's number of images."""
    loader = _loader(_Boxes(pictures), batch_size, collate=_pairs)
    rate = times * DETECTION_RATE * batch_size / DETECTION_BATCH
    optimizer = torch.optim.SGD(
        network.parameters(), rate, momentum=MOMENTUM, weight_decay=DETECTION_DECAY
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    network.train()
    for epoch in range(epochs):
        warm_up = None
        if epoch == 0:
            steps = min(1000, len(loader) - 1)
            warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.001, total_iters=steps)
        for images, targets in loader:
            loss = sum(network(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if warm_up is not None:
                warm_up.step()
            yield len(images)
        cosine.step()


def train_segmenter(
    network: LRASPP,
    pictures: Pictures,
    classifier: Checkpoint,
    *,
    px: int,
    batch_size: int,
    epochs: int,
    times: float = 1,
) -> Iterator[int]:
    """Train a segmentation network, likewise."""
    loader = _loader(_Masks(pictures, classifier, px), batch_size)
    rate = times * SEGMENTATION_RATE * batch_size / SEGMENTATION_BATCH
    optimizer = torch.optim.SGD(
        network.parameters(), rate, momentum=MOMENTUM, weight_decay=SEGMENTATION_DECAY
    )
    total = max(1, epochs * len(loader))
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=total, power=0.9)
    network.train()
    for _ in range(epochs):
        for images, masks in loader:
            loss = functional.cross_entropy(network(images)["out"], masks, ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            yield len(images)
