"""The ids that a COCO JSON gives to images and categories, for results that refer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.annotations.coco_json import read_document
from nas.data.image_files.names import printable
from search_spaces.errors import InputError

UNUSED = "N/A"
"""Name of the ids from 1 to 90 that COCO does not use, in networks trained on COCO."""


@dataclass(frozen=True)
class CocoIds:
    """Ids of images and categories.

    Attributes:
        path: The JSON.
        images: Id of each image by its file's name, without folders.
        categories: Id of each category by its name.
    """

    path: Path
    images: Mapping[str, Any]
    categories: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> CocoIds:
        """Read a file.

        Raises:
            InputError: It cannot be read, is not COCO's JSON, or has two images of the same name.
        """
        try:
            document = read_document(path)
            categories = {str(one["name"]): int(one["id"]) for one in document["categories"]}
            images = [
                (Path(one["file_name"].replace("\\", "/")).name, one["id"])
                for one in document["images"]
            ]
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}: give COCO's JSON") from error
        except InputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: its images need file_name and id, its categories name and id ({error!r})"
            ) from error
        if len(dict(images)) < len(images):
            raise InputError(
                f"{path}: some of its images have the same file name: give unique names"
            )
        return cls(path, dict(images), categories)

    def require(self, files: Sequence[Path], classes: Sequence[str]) -> None:
        """Check that it has all of these images and classes.

        Raises:
            InputError: Some are missing; the message names the first.
        """
        absent = [printable(path.name) for path in files if path.name not in self.images]
        unknown = [repr(name) for name in classes if name not in {*self.categories, UNUSED}]
        for what, names in (("image", absent), ("category", unknown)):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                raise InputError(
                    f"{self.path} has no {what} {names[0]}{more}: give the JSON of these images"
                )
