"""Pack torchvision's ImageNet weights of MobileNetV2, which a search begins from by default.

    python tools/make_parent_weights.py mobilenet_v2-b0353104.pth

Convolutions are stored in half precision, batch norms in single: some of their values would underflow. The
classifier is left out, as every data set gets its own.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

TARGET = Path(__file__).parents[1] / "nas" / "checkpoints" / "assets" / "mobilenet_v2.safetensors"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    weights = torch.load(parser.parse_args().weights, weights_only=True)
    kept = {
        name: tensor.half() if tensor.ndim == 4 else tensor
        for name, tensor in weights.items()
        if not name.startswith("classifier.")
    }
    TARGET.parent.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, TARGET)
    sys.stdout.write(f"{TARGET}: {TARGET.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
