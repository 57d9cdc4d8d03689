"""What a search from scratch makes of its recipe."""

import pytest

from nas.checkpoints.usage import NORMALIZATIONS
from nas.engine.folder.run_folder import RunFolder
from nas.engine.schedule_config import ScheduleConfig
from nas.searching.config import FinalsConfig
from nas.searching.from_scratch.preparing import FromScratch, ScratchOptions
from nas.searching.images import SearchImages
from nas.training.recipe import Recipe
from search_spaces import InputError, load_space
from tests.nas.adapting.test_adapt import DATA

SPACE = load_space("mnasnet", resolution=32, classes=2)


def method(folder, recipe):
    return FromScratch.of(
        SPACE, SearchImages.of(SPACE, DATA, None), recipe, ScratchOptions(), finals=FinalsConfig(),
        fidelity=None, schedule=ScheduleConfig(), run=RunFolder(folder),
    )  # fmt: skip


def test_images_are_normalized_as_it_says(tmp_path):
    images = method(tmp_path, Recipe(batch_size=16, normalization="inception")).images
    for data in (images.proxy, *images.deployed.values()):
        assert (data.mean, data.std) == NORMALIZATIONS["inception"]
    assert method(tmp_path, Recipe(batch_size=16)).images.proxy.mean == DATA.mean


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"batch_size": 16, "frozen_norms": True},
            "frozen_norms: true keeps the batch norm statistics",
        ),
        ({"batch_size": 32, "accumulate": 64}, "accumulate is 64, but a batch has 32 images"),
    ],
)
def test_what_cannot_train_new_weights_is_refused(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        method(tmp_path, Recipe(**settings))
