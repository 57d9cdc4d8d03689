"""The center crop of evaluation: the same pixels as torchvision's, and never of training images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from nas.data.image_files import square
from nas.data.image_files.decode import decode
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import square_mask, square_pixels, square_rgb
from nas.data.images import require_crop
from nas.data.load import load_dataset, open_source
from search_spaces import InputError
from tests.nas.data.test_decode import pictures
from tests.nas.image_sets import make_splits, smooth_image

MOST = Preparation(crop=0.875)
WHOLE = Preparation(fit="stretch")


@pytest.fixture
def photos(tmp_path: Path) -> str:
    make_splits(tmp_path / "photos")
    return str(tmp_path / "photos")


@pytest.mark.parametrize("size", [(320, 256), (301, 500), (224, 224), (90, 60)])
def test_the_crop_is_torchvisions(size: tuple[int, int]) -> None:
    image = smooth_image(3).resize(size, Image.Resampling.BICUBIC)
    theirs = v2.Compose([v2.Resize(64, antialias=True), v2.CenterCrop(56)])(image)
    ours = square_rgb(image.copy(), 56, MOST)
    difference = np.abs(np.asarray(ours, int) - np.asarray(theirs, int))
    assert difference.mean() < 1.5  # theirs rounds twice, to whole pixels of the resized image
    whole = np.abs(np.asarray(square_rgb(image, 56), int) - np.asarray(theirs, int))
    assert whole.mean() > 3 * difference.mean()


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (41, 40)])
def test_only_the_center_is_seen(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (255, 0, 0))
    left, top = (size[0] - 30) // 2, (size[1] - 30) // 2
    image.paste((0, 0, 255), (left, top, left + 30, top + 30))
    assert (np.asarray(square_rgb(image, 30, Preparation(crop=0.75))) == (0, 0, 255)).all()
    assert (np.asarray(square_rgb(image, 40)) == (255, 0, 0)).all(axis=2).any()


def test_a_jpeg_is_decoded_to_twice_the_size_of_the_crop(tmp_path: Path) -> None:
    smooth_image(1).resize((512, 512)).save(tmp_path / "large.jpg", quality=95)
    sides = []
    for crop in (1.0, 0.5, 0.25):
        with Image.open(tmp_path / "large.jpg") as image:
            square_rgb(image, 64, Preparation(crop=crop))
            sides.append(image.size[0])
    assert sides == [128, 256, 512]


@pytest.mark.parametrize(
    ("preparation", "apart"),
    # Of the whole image, what is less than a cell at the right and at the bottom is cut.
    [(MOST, 6), (WHOLE, 12)],
    ids=["crop", "stretch"],
)
def test_strips_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, preparation: Preparation, apart: int
) -> None:
    image = smooth_image(2).resize((400, 300))
    whole = np.asarray(square_rgb(image.copy(), 24, preparation), int)
    monkeypatch.setattr(square, "LARGE_PIXELS", 10_000)
    monkeypatch.setattr(square, "STRIP_PIXELS", 3_000)
    assert np.abs(np.asarray(square_rgb(image, 24, preparation), int) - whole).max() <= apart


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("size", [(320, 80), (80, 320), (64, 64)])
def test_a_stretched_image_shows_all_of_it(size: tuple[int, int], exact: bool) -> None:
    image = smooth_image(4).resize(size, Image.Resampling.BICUBIC)
    found = square_pixels(image.copy(), 32, replace(WHOLE, exact=exact))
    wanted = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), int)
    assert np.abs(found.transpose(1, 2, 0).astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("preparation", [WHOLE, MOST, Preparation(crop=0.3)])
@pytest.mark.parametrize("size", [(301, 200), (200, 301), (96, 96)])
def test_a_mask_is_prepared_like_its_image(size: tuple[int, int], preparation: Preparation) -> None:
    mask = smooth_image(5).convert("L").resize(size, Image.Resampling.BICUBIC)
    mask = mask.point(lambda level: 200 if level > 128 else 0)
    found = np.asarray(square_mask(mask, 40, preparation), int)
    image = np.asarray(square_rgb(mask.convert("RGB"), 40, preparation), int)[:, :, 0]
    assert set(np.unique(found).tolist()) == {0, 200}
    assert ((image > 100) == (found > 100)).mean() > 0.97


@pytest.mark.parametrize("memory_limit_mb", [4096, 0])
def test_training_images_are_whole(photos: str, memory_limit_mb: int) -> None:
    found = load_dataset(
        photos, resolution_px=32, crop=0.5, memory_limit_mb=memory_limit_mb, workers=0
    )
    plain = load_dataset(photos, resolution_px=32)
    assert found.preparation.crop == 0.5
    assert (found.mean, found.std) == (plain.mean, plain.std)
    for name, preparation in (
        ("train", Preparation(exact=memory_limit_mb > 0)),
        ("val", Preparation(crop=0.5)),
        ("test", Preparation(crop=0.5)),
    ):
        images, _ = next(getattr(found, name).batches(2))
        files = sorted(Path(photos, name).glob("cat/*.png"))[:2]
        wanted = [decode(pictures(path), 0, size_px=32, preparation=preparation) for path in files]
        assert np.array_equal(images, np.stack(wanted))


@pytest.mark.parametrize("crop", [0.0, -1.0, 0.05, 1.01, float("nan")])
def test_a_crop_out_of_range_is_refused(photos: str, crop: float) -> None:
    with pytest.raises(InputError, match=r"crop must be from 0\.1 to 1, got .*: 0\.875 is common"):
        open_source(photos, crop=crop)


def test_images_of_another_crop_are_refused(photos: str) -> None:
    images = load_dataset(photos, resolution_px=32, crop=0.875)
    require_crop(images, 0.875)
    with pytest.raises(InputError, match=r"have a center crop of 0.875, and the network's is 1:"):
        require_crop(images, 1.0)


def test_larger_training_images_count_against_the_memory(photos: str) -> None:
    """24 images, 8 of them in train: 24 * 3 * 64^2 bytes are 0.28 MB, and 8 * 3 * 256^2 are 1.5."""
    source = open_source(photos, memory_limit_mb=1, workers=0)

    def in_memory(**sides: Any) -> bool:
        return hasattr(source.at(64, **sides).train, "images")

    assert in_memory()
    assert in_memory(beside=[(80, 80)])
    assert not in_memory(train_px=256)
    assert not in_memory(beside=[(80, 256)])


def test_a_color_that_stands_for_transparency_is_laid_on_the_background(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32))
    image.paste((200, 10, 20), (8, 8, 24, 24))
    image.save(tmp_path / "a.png", transparency=(0, 0, 0))
    square = decode(pictures(tmp_path / "a.png"), 0, size_px=32)
    assert square[:, 0, 0].tolist() == [255, 255, 255]
    assert square[:, 16, 16].tolist() == [200, 10, 20]
