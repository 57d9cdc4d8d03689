"""Torchvision's classification data sets by name."""

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

from latency.measuring.user_folders import ensure_home
from nas.data.image_files.pictures import Labelled
from search_spaces.errors import InputError

ROOT_VARIABLE = "MOBILE_NAS_DOWNLOADS"

Arguments = Mapping[str, str | bool]


class Parts(NamedTuple):
    """The constructor's arguments for each split; None if the source has no such split."""

    train: Arguments
    val: Arguments | None
    test: Arguments | None


_BY_FLAG = Parts({"train": True}, None, {"train": False})
_TRAIN_TEST = Parts({"split": "train"}, None, {"split": "test"})
_TRAIN_VAL_TEST = Parts({"split": "train"}, {"split": "val"}, {"split": "test"})
_WHOLE = Parts({}, None, None)

SETS: Mapping[str, Parts] = {
    "Caltech101": _WHOLE,
    "Caltech256": _WHOLE,
    "CIFAR10": _BY_FLAG,
    "CIFAR100": _BY_FLAG,
    "Country211": Parts({"split": "train"}, {"split": "valid"}, {"split": "test"}),
    "DTD": _TRAIN_VAL_TEST,
    "EMNIST": Parts(
        {"split": "balanced", "train": True}, None, {"split": "balanced", "train": False}
    ),
    "EuroSAT": _WHOLE,
    "FashionMNIST": _BY_FLAG,
    "FGVCAircraft": _TRAIN_VAL_TEST,
    "Flowers102": _TRAIN_VAL_TEST,
    "Food101": _TRAIN_TEST,
    "GTSRB": _TRAIN_TEST,
    # Published accuracies on ImageNet and Imagenette are of val, so it is the test split here.
    "ImageNet": Parts({"split": "train"}, None, {"split": "val"}),
    "Imagenette": Parts({"split": "train"}, None, {"split": "val"}),
    "KMNIST": _BY_FLAG,
    "MNIST": _BY_FLAG,
    "OxfordIIITPet": Parts({"split": "trainval"}, None, {"split": "test"}),
    "PCAM": _TRAIN_VAL_TEST,
    "QMNIST": _BY_FLAG,
    "RenderedSST2": _TRAIN_VAL_TEST,
    "StanfordCars": _TRAIN_TEST,
    "STL10": _TRAIN_TEST,
    "SUN397": _WHOLE,
    "SVHN": _TRAIN_TEST,
    "USPS": _BY_FLAG,
}


@dataclass(frozen=True)
class TorchvisionPictures(Labelled):
    """Pictures of one torchvision data set."""

    name: str
    source: Any
    labels: NDArray[np.int64]
    split: str = "train"

    def open(self, index: int) -> Image.Image:
        """Return the image from the data set."""
        image = self.source[index][0]
        assert isinstance(image, Image.Image)
        return image

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of one image."""
        return self.open(index).size

    def describe(self, index: int) -> str:
        """Name the picture by its number."""
        return f"{self.name} #{index}"

    @property
    def names(self) -> None:
        """Return None: there are no files."""

    def open_plain(self, index: int) -> None:
        """Return None: there is no metadata."""

    def stamp(self, index: int) -> str:
        """Return the image's number: torchvision verifies what it downloads."""
        return f"{self.name}|{self.split}|{len(self)}|{index}"

    def size_bytes(self, index: int) -> int:  # noqa: ARG002
        """Return 0: there are no files."""
        return 0


def canonical_name(name: str) -> str | None:
    """Find a data set, ignoring case.

    >>> canonical_name("cifar10"), canonical_name("cifar11")
    ('CIFAR10', None)
    """
    return next((known for known in SETS if known.lower() == name.lower()), None)


def download_root(root: Path | None) -> Path:
    """Return the folder of data sets: the argument, $MOBILE_NAS_DOWNLOADS, or ~/.cache/mobile-nas."""
    if root is not None:
        return root
    variable = os.environ.get(ROOT_VARIABLE)
    return Path(variable) if variable else ensure_home() / ".cache" / "mobile-nas"


def read_torchvision(
    name: str, root: Path
) -> tuple[tuple[str, ...], dict[str, TorchvisionPictures | None]]:
    """Open the splits of a data set of `SETS`, downloading it into `root` if necessary.

    Returns:
        The class names, and the pictures by split; None for a split that the source lacks.

    Raises:
        InputError: The data set cannot be found or downloaded, or needs a package that is missing.
    """
    parts = SETS[name]
    opened = {
        split: None if arguments is None else _construct(name, root, arguments)
        for split, arguments in parts._asdict().items()
    }
    pictures = {
        split: None if source is None else TorchvisionPictures(name, source, _labels(source), split)
        for split, source in opened.items()
    }
    return _class_names(opened["train"], pictures), pictures


def _construct(name: str, root: Path, arguments: Arguments) -> Any:
    constructor = getattr(torchvision.datasets, name)
    # ImageNet cannot be downloaded, so its constructor lacks this argument.
    downloads = "download" in inspect.signature(constructor).parameters
    extra = {"download": True} if downloads else {}
    try:
        root.mkdir(parents=True, exist_ok=True)
        return constructor(root, **arguments, **extra)
    except ImportError as error:
        raise InputError(
            f"data set {name} needs a package that is not installed ({error}): install it with pip"
        ) from error
    # URLError and HTTPError are OSErrors, a bad checksum is a RuntimeError; a damaged archive, table or
    # pickle may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"data set {name} is not in {root} and cannot be downloaded ({reason}): "
            f"put its files there, or set {ROOT_VARIABLE} to the folder that has them"
        ) from error


def _labels(source: Any) -> NDArray[np.int64]:
    # Torchvision has no common name for labels; reading them from items would decode every image.
    for attribute in ("targets", "labels", "_labels", "y"):
        if hasattr(source, attribute):
            return np.asarray(getattr(source, attribute), np.int64)
    if hasattr(source, "_samples"):
        return np.array([label for _, label in source._samples], np.int64)
    return np.array([source[index][1] for index in range(len(source))], np.int64)


def _class_names(
    source: Any, pictures: Mapping[str, TorchvisionPictures | None]
) -> tuple[str, ...]:
    count = 1 + max(int(part.labels.max()) for part in pictures.values() if part is not None)
    names = getattr(source, "classes", None) or getattr(source, "categories", None) or ()
    if len(names) < count:
        return tuple(str(label) for label in range(count))
    return tuple(" / ".join(n) if isinstance(n, tuple) else str(n) for n in names)
