"""Recognize the naming schemes of other programs' weights."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RENAME = "save them under torchvision's names, from a network of torchvision's own class"
_OTHER = "give weights of a network that --arch can name"

_LAYOUTS = (
    ("timm's", r"conv_stem\.conv\.weight", _RENAME),
    ("timm's", r"blocks\.\d+\.\d+\.(conv_dw|conv_pw|conv_pwl|bn1|bn2|se)\.", _RENAME),
    ("transformers'", r"(.*\.)?(conv_stem|layer\.\d+)\.\w+\.convolution\.", _RENAME),
    ("efficientnet_pytorch's", r"_conv_stem\.|_blocks\.\d+\.", _OTHER),
    ("OpenMMLab's", r"(layer|conv)\d+(\.\d+)*\.(\w+_)?conv\.(conv\.|weight)", _RENAME),
    ("torchvision's EfficientNet", r"features\.\d+\.\d+\.block\.", _OTHER),
    ("an older MobileNet's", r"features\.\d+\.conv\.0\.weight", _RENAME),
    ("a detector's or segmenter's", r"(body|fpn|rpn|roi_heads|low|high)\.", _OTHER),
    ("a ResNet's", r"layer\d\.\d+\.conv1\.weight", _OTHER),
    ("a vision transformer's", r"cls_token|pos_embed|class_token|patch_embed\.", _OTHER),
    ("torch's pruning", r".*\.weight_(orig|mask)$", "call prune.remove on it, and save it again"),
    ("a parametrized network's", r".*parametrizations\.|.*\.weight_[gv]$", "remove them, and save"),
    ("a quantized network's", r".*(_packed_params|\.zero_point$)", "give the float weights"),
    ("TensorFlow's or Keras'", r".*(/|:0$|_depthwise_BN|kernel$)", "convert them to torchvision's"),
)
"""Owner, pattern at the start of a name, and remedy."""


def foreign_layout(names: Iterable[str]) -> str | None:
    """Say whose naming scheme this is, with an example and a remedy; None if it is not known.

    >>> foreign_layout(["_conv_stem.weight", "_bn0.weight"])[:66]
    "efficientnet_pytorch's layout of names (_conv_stem.weight), not re"
    """
    for name in names:
        for owner, pattern, mend in _LAYOUTS:
            if re.match(pattern, name):
                return f"{owner} layout of names ({name[:80]}), not read yet: {mend}"
    return None
