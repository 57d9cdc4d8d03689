"""Pack a class-balanced subset of Fashion-MNIST into the file that the package carries.

    python tools/make_fashion_subset.py /usr/share/datasets/fashion-mnist

The folder holds the four original IDX files, as Debian's package `dataset-fashion-mnist` (main,
MIT) installs them. The result is the same bytes for the same seed, numpy and zlib.
"""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLASSES = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
TARGET = Path(__file__).parents[1] / "nas/data/assets/fashion_mnist_subset.npz"
PER_CLASS = {"train": 1000, "val": 250, "test": 250}
IDX_UINT8 = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of unsigned bytes.

    Raises:
        ValueError: the file is not one of unsigned bytes.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != bytes([0, 0, IDX_UINT8]):
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: starts {content[:4].hex()}")
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=dimensions, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def pick_balanced(
    labels: NDArray[np.uint8], counts: tuple[int, ...], *, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return one sorted index array for each entry of `counts` (images a class), disjoint."""
    parts: list[list[NDArray[np.int64]]] = [[] for _ in counts]
    cuts = np.cumsum(counts)
    for label in range(len(CLASSES)):
        shuffled = rng.permutation(np.flatnonzero(labels == label))[: cuts[-1]]
        for part, piece in zip(parts, np.split(shuffled, cuts[:-1]), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def build(folder: Path, *, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Return the subset: `{train,val,test}_images` (N, 28, 28), `_labels` (N,) and `classes`.

    Train and val come from the source's training images, test from its test images.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.generic]] = {"classes": np.array(CLASSES)}
    for source, splits in (("train", ("train", "val")), ("t10k", ("test",))):
        images = read_idx(folder / f"{source}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{source}-labels-idx1-ubyte.gz")
        chosen = pick_balanced(labels, tuple(PER_CLASS[split] for split in splits), rng=rng)
        for split, indices in zip(splits, chosen, strict=True):
            arrays[f"{split}_images"] = images[indices]
            arrays[f"{split}_labels"] = labels[indices]
    return arrays


def main() -> int:
    """Build the subset from the folder given and say what was written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the four *-ubyte.gz files")
    parser.add_argument("--out", type=Path, default=TARGET, help=f"default: {TARGET}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arrays = build(arguments.folder, seed=arguments.seed)
    np.savez_compressed(arguments.out, **arrays)
    sizes = ", ".join(f"{s} {len(arrays[f'{s}_labels']):,}" for s in PER_CLASS)
    sys.stdout.write(f"{arguments.out}: {sizes}; {arguments.out.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
