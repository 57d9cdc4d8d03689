"""The classes of published weights, which their files do not name."""

from __future__ import annotations

from dataclasses import dataclass

from nas.checkpoints.class_names import placeholder_classes
from search_spaces import ArchSpec
from search_spaces.heads.specs import HeadSpec, LRASPPHead, SSDLiteHead


@dataclass(frozen=True)
class Names:
    """Names of a network's classes.

    Attributes:
        classes: The names, in the order of the outputs; placeholders if they are not known.
        owner: The data set whose names they are; empty if they are not known.
    """

    classes: tuple[str, ...]
    owner: str = ""


def published_names(spec: ArchSpec) -> Names:
    """Assume a network's classes from their number, as torchvision's metadata lists them.

    Of 1000 classes a classifier's are ImageNet's, of 90 a detector's are COCO's ids from 1, some of which
    are called "N/A", and of 21 LR-ASPP's are Pascal VOC's.
    """
    match spec.head:  # torchvision's models take a moment to load
        case HeadSpec(classes=1000):
            from torchvision.models import MobileNet_V2_Weights

            listed = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
            return Names(tuple(listed), "ImageNet")
        case SSDLiteHead(classes=90):
            from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

            _, *listed = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
            return Names(tuple(listed), "COCO")
        case LRASPPHead(classes=21):
            from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights

            weights = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
            background, *listed = weights.meta["categories"]
            return Names((background.strip("_"), *listed), "Pascal VOC")
    return Names(placeholder_classes(spec.head.classes))
