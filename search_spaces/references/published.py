"""The detectors and segmentation networks of the MobileNetV3 paper's tables, with the paper's figures.

arXiv 1905.02244, final text: tables 6 (COCO, Pixel 1), 7 (Cityscapes validation, Pixel 3) and 8 (Cityscapes
test). The first version of the paper has other latencies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from search_spaces.heads.transforms import dilate, halve_tail, lraspp, raspp, ssdlite
from search_spaces.references.mnasnet import mnasnet_a1
from search_spaces.references.mobilenet_v1 import mobilenet_v1
from search_spaces.references.mobilenet_v2 import mobilenet_v2
from search_spaces.references.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from search_spaces.references.reference import Reference
from search_spaces.spec import ArchSpec
from search_spaces.widths import make_divisible

DETECTION_PX = 320
COCO_CLASSES, CITYSCAPES_CLASSES, VOC_CLASSES = 90, 19, 21

MOBILENET_V2_CLASSES = 80
"""COCO's categories without unused ids: so V1 and V2 have the parameters of MobileNetV2's paper."""

FULL = (1025, 2049)
"""Height and width of Cityscapes' images as DeepLab counts them: 1024 x 2048 and one pixel more."""

HALF = (513, 1025)


@dataclass(frozen=True)
class Published:
    """A network and its published figures.

    Attributes:
        name: As in the paper, or torchvision's.
        spec: The network; its resolution is the height of the input.
        width_px: Width of the input.
        params_m: Parameters in millions; None where the source has none.
        madds_g: MAdds in billions.
        score: mAP on COCO, or mIoU on Cityscapes, in percent.
        latency_ms: On a Pixel 1 (detection) or Pixel 3 (segmentation), one thread, float.
        source: Where the figures are from.
    """

    name: str
    spec: ArchSpec
    width_px: int
    params_m: float | None
    madds_g: float | None
    score: float | None
    latency_ms: float | None
    source: str


def detectors() -> tuple[Published, ...]:
    """Return the detectors of table 6, and torchvision's.

    They have TensorFlow's anchors, three in each cell of the first map; torchvision's has six everywhere.
    """
    table = (
        ("V1", _detector(mobilenet_v1, classes=MOBILENET_V2_CLASSES), 5.1, 1.3, 22.2, 228),
        ("V2", _detector(mobilenet_v2, classes=MOBILENET_V2_CLASSES), 4.3, 0.80, 22.1, 162),
        ("MnasNet", _detector(mnasnet_a1), 4.88, 0.84, 23.0, 174),
        ("V3-Large", _detector(mobilenet_v3_large), 4.97, 0.62, 22.0, 137),
        ("V3-Large +", _detector(mobilenet_v3_large, halved=True), 3.22, 0.51, 22.0, 119),
        ("V2 0.35", _detector(mobilenet_v2, width=0.35), 0.93, 0.16, 13.7, 66),
        ("V2 0.5", _detector(mobilenet_v2, width=0.5), 1.54, 0.27, 16.6, 79),
        ("MnasNet 0.35", _detector(mnasnet_a1, width=0.35), 1.02, 0.18, 15.6, 68),
        ("MnasNet 0.5", _detector(mnasnet_a1, width=0.5), 1.68, 0.29, 18.5, 85),
        ("V3-Small", _detector(mobilenet_v3_small), 2.49, 0.21, 16.0, 52),
        ("V3-Small +", _detector(mobilenet_v3_small, halved=True), 1.77, 0.16, 16.1, 43),
    )
    paper = [
        Published(name, spec, DETECTION_PX, params_m, madds_g, score, ms, "paper, table 6")
        for name, spec, params_m, madds_g, score, ms in table
    ]
    spec = ssdlite(halve_tail(mobilenet_v3_large(resolution=DETECTION_PX)), classes=COCO_CLASSES)
    name = "ssdlite320_mobilenet_v3_large"
    theirs = Published(name, spec, DETECTION_PX, 3.440060, 0.583, 21.3, None, "torchvision")
    return (*paper, theirs)


def segmenters() -> tuple[Published, ...]:
    """Return the networks of tables 7 and 8 at full and half resolution, and torchvision's.

    They are those of DeepLab's code: a pooled gate of 49 pixels, stride 16 and 20; the skip from the last
    depthwise convolution of stride 8; the block that had the last stride is not dilated.
    """
    v2, large, small = mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
    # Name, network, parameters and MAdds of the full size; mIoU; milliseconds of both sizes.
    table = (
        ("V2 R-ASPP 256", _raspp(v2), 2.11, 21.29, 72.84, (3900, 1020)),
        ("V2 R-ASPP 256 RF2", _raspp(v2, rf2=True), 1.15, 13.68, 72.56, (3030, 793)),
        ("V2 LR-ASPP 256 RF2", _lraspp(v2, 256), 1.02, 12.83, 72.97, (2980, 786)),
        ("V2 LR-ASPP 128 RF2", _lraspp(v2, 128), 0.98, 12.57, 72.74, (2890, 766)),
        ("V3-Large R-ASPP 256", _raspp(large), 3.60, 18.43, 72.64, (3550, 906)),
        ("V3-Large R-ASPP 256 RF2", _raspp(large, rf2=True), 1.76, 11.24, 71.91, (2600, 668)),
        ("V3-Large LR-ASPP 256 RF2", _lraspp(large, 256), 1.63, 10.33, 72.37, (2550, 659)),
        ("V3-Large LR-ASPP 128 RF2", _lraspp(large, 128), 1.51, 9.74, 72.36, (2470, 657)),
        ("V2 0.5 LR-ASPP 128 RF2", _lraspp(v2, 128, width=0.5), 0.28, 4.00, 68.57, (1590, 415)),
        ("V2 0.35 LR-ASPP 128 RF2", _lraspp(v2, 128, width=0.35), 0.16, 2.54, 66.83, (1270, 354)),
        ("V3-Small LR-ASPP 128 RF2", _lraspp(small, 128), 0.47, 2.90, 68.38, (1210, 327)),
        ("V3-Large LR-ASPP 128 RF2 OS32", _lraspp(large, 128, 32), None, 7.74, 72.0, (2060, 534)),
        ("V3-Small LR-ASPP 128 RF2 OS32", _lraspp(small, 128, 32), None, 2.06, 68.3, (1030, 275)),
    )
    found = []
    for name, spec, params_m, madds_g, score, (full_ms, half_ms) in table:
        source = "paper, table 8, test" if "OS32" in name else "paper, table 7"
        full = replace(spec, resolution=FULL[0])
        found += [
            Published(name, full, FULL[1], params_m, madds_g, score, full_ms, source),
            Published(
                f"{name}, half",
                replace(spec, resolution=HALF[0]),
                HALF[1],
                params_m,
                HALF_MADDS_G.get(name),
                None,
                half_ms,
                source,
            ),
        ]
    spec = lraspp(dilate(mobilenet_v3_large(resolution=520), 16), classes=VOC_CLASSES)
    name = "lraspp_mobilenet_v3_large"
    return (*found, Published(name, spec, 520, 3.221538, 2.086, None, None, "torchvision"))


HALF_MADDS_G = {
    "V3-Large LR-ASPP 128 RF2": 2.48,
    "V3-Small LR-ASPP 128 RF2": 0.74,
    "V3-Large LR-ASPP 128 RF2 OS32": 1.98,
    "V3-Small LR-ASPP 128 RF2 OS32": 0.53,
}
"""MAdds in billions at half of the resolution, where table 8 has them."""


def _detector(
    body: Reference, *, width: float = 1.0, halved: bool = False, classes: int = COCO_CLASSES
) -> ArchSpec:
    spec = body(width=width, resolution=DETECTION_PX)
    if width < 1:  # a detector has no classifier, so its last convolution is scaled like the others
        conv = make_divisible(body().head.conv * width)
        spec = replace(spec, head=replace(spec.head, conv=conv))
    return ssdlite(
        halve_tail(spec) if halved else spec,
        classes=classes,
        width=width,
        scores="sigmoid",
        reduced_first=True,
    )


def _body(body: Reference, output_stride: int, *, width: float, rf2: bool) -> ArchSpec:
    spec = body(width=width, resolution=FULL[0])
    if rf2:
        spec = halve_tail(spec, entry=body is not mobilenet_v2)
    return dilate(spec, 32 if output_stride == 32 else 16, convention="tensorflow")


def _raspp(body: Reference, *, rf2: bool = False) -> ArchSpec:
    spec = _body(body, 16, width=1.0, rf2=rf2)
    return raspp(spec, classes=CITYSCAPES_CLASSES, filters=256)


def _lraspp(
    body: Reference, filters: int, output_stride: int = 16, *, width: float = 1.0
) -> ArchSpec:
    return lraspp(
        _body(body, output_stride, width=width, rf2=True),
        classes=CITYSCAPES_CLASSES,
        filters=filters,
        pool=49,
        pool_stride=(16, 20),
        gate="hsigmoid",
        skip="depthwise",
    )
