"""Evaluate the network of a finished run on its test images, for the report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console

from nas.display.progress import waiting
from nas.engine.folder.run_folder import RunFolder

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.data.source import ImageSource

_log = logging.getLogger(__name__)


def examine(
    folder: RunFolder, network: str, pictures: ImageSource, data: Dataset, console: Console
) -> bool:
    """Evaluate a run's network on the test images, and keep in its folder what there is to look at.

    A warning is logged if an image cannot be read any more: a finished run must not fail here.

    Args:
        folder: The run's.
        network: Name of the checkpoint in it.
        pictures: The images.
        data: The same images at the network's resolution.
        console: Shows progress.

    Returns:
        Whether the folder has the evaluation now.

    Raises:
        InputError: It cannot be written.
    """
    from nas.data.image_files.unreadable import UnreadableError
    from nas.export.evaluation.examination import Examination  # these import torch
    from nas.export.evaluation.examined import keep_examined
    from nas.export.models import open_model

    doing = f"evaluating {network} for the report"
    with waiting(console, doing) as status:
        examination = Examination.of(open_model(folder / network), pictures, data)
        try:
            evidence = examination.evidence(lambda done: status.update(f"{doing}: {done}"))
            keep_examined(folder, examination.examined(evidence))
        except UnreadableError as error:
            _log.warning("the report shows no test images: %s", error)
            return False
    return True
