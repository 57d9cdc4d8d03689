"""Read Pascal VOC's XML: one file an image, as labelImg and CVAT also write it.

Corners are taken as they are: VOC counts pixels from 1 and includes the last one, most tools do not, and no
file says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from nas.data.annotations.objects import AnnotatedImage, ObjectBox, Problem
from nas.data.image_files.names import printable

CORNERS = ("xmin", "ymin", "xmax", "ymax")

NOT_XML = (ElementTree.ParseError, ValueError, LookupError)
"""What is raised for files that are no XML, are of another encoding than stated, or state none there is."""


def read_voc_xml(path: Path, image: Path) -> AnnotatedImage | Problem:
    """Read the annotation of one image; a file that cannot be read is a problem."""
    where = printable(str(path))
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  expat bounds the growth of entities
    except NOT_XML as error:
        return Problem(where, f"not XML: {error}")
    except OSError as error:
        return Problem(where, f"cannot be read: {error.strerror}")
    objects = []
    for number, element in enumerate(root.iter("object"), start=1):
        found = _object(element)
        if isinstance(found, str):
            return Problem(where, f"object {number}: {found}")
        objects.append(found)
    return AnnotatedImage(image, where, tuple(objects), _size(root))


def file_name(path: Path) -> str | None:
    """Return the image's file name that an annotation states, without folders; None if it states none."""
    try:
        text = ElementTree.parse(path).getroot().findtext("filename")  # noqa: S314
    except (*NOT_XML, OSError):
        return None  # `read_voc_xml` tells the problem
    return Path(text.strip().replace("\\", "/")).name if text and text.strip() else None


def _object(element: ElementTree.Element) -> ObjectBox | str:
    """Return the object, or what is wrong with it."""
    name = (element.findtext("name") or "").strip()
    if not name:
        return "it has no name"
    box = element.find("bndbox")
    if box is None:
        return f"{name} has no bndbox"
    corners: Mapping[str, str] = {key: (box.findtext(key) or "").strip() for key in CORNERS}
    try:
        x1, y1, x2, y2 = (float(corners[key]) for key in CORNERS)
    except ValueError:
        given = ", ".join(f"{key} {corners[key] or 'missing'}" for key in CORNERS)
        return f"{name}'s corners are not numbers: {given}"
    difficult = (element.findtext("difficult") or "0").strip()
    return ObjectBox(name, (x1, y1, x2, y2), difficult in ("1", "true", "True"))


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return width and height; None where they are missing or 0, as some tools write."""
    texts = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    try:
        width, height = (round(float(text)) for text in texts)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None
