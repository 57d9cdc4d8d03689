"""Large photos are read within a limit of our own; Pillow's, which is the process's, stays as it is."""

import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.image_files import decode as decoding
from nas.data.image_files import square
from nas.data.image_files.decode import FilePictures, decode
from search_spaces.errors import InputError


def pictures(path: Path, **options: float) -> FilePictures:
    return FilePictures((path,), np.zeros(1, np.int64), **options)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif"])
def test_pillows_limit_neither_warns_nor_refuses_nor_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"large.{suffix}"
    Image.linear_gradient("L").resize((300, 200)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29_000)  # half of the image: an error to Pillow
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(pictures(path), 0, size_px=32).std() > 20
    assert Image.MAX_IMAGE_PIXELS == 29_000


def test_the_limit_is_an_option_and_names_the_file(tmp_path: Path) -> None:
    Image.new("L", (2000, 1000)).save(tmp_path / "large.png")
    reason = r"large\.png \(2000 x 1000 pixels are 2 megapixels, above the limit of 1.5 \(--max-meg"
    with pytest.raises(InputError, match=reason):
        decode(pictures(tmp_path / "large.png", max_megapixels=1.5), 0, size_px=32)
    decode(pictures(tmp_path / "large.png", max_megapixels=2), 0, size_px=32)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("size", [(400, 300), (101, 777)])
def test_strips_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, mode: str, size: tuple[int, int]
) -> None:
    gradient = Image.linear_gradient("L").resize(size)
    values = np.asarray(gradient)
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(values / np.float32(255))
    else:
        image = gradient.convert("RGB").convert(mode)
    whole = np.asarray(square.square_rgb(image.copy(), 24), int)
    monkeypatch.setattr(square, "LARGE_PIXELS", 10_000)
    monkeypatch.setattr(square, "STRIP_PIXELS", 3_000)
    strips = np.asarray(square.square_rgb(image.copy(), 24), int)
    assert np.abs(whole - strips).max() <= 6


def test_a_progressive_jpeg_with_absurdly_many_scans_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.jpg"
    Image.linear_gradient("L").resize((400, 400)).save(path, progressive=True)
    data = path.read_bytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + scan * 300 + data[-2:])
    monkeypatch.setattr("nas.data.image_files.opening.MOST_SCANNED_MEGAPIXELS", 10)
    with pytest.raises(InputError, match=r"bomb\.jpg \(3\d\d scans of 0 megapixels"):
        decode(pictures(path), 0, size_px=32)


def test_large_images_are_decoded_one_after_another() -> None:
    """Those that do not fit beside each other wait; one larger than all the room goes alone."""
    inside, most, lock = 0, 0, threading.Lock()

    def occupy(megapixels: float) -> None:
        nonlocal inside, most
        with decoding.ROOM.taken(megapixels):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.005)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(occupy, [100.0, 1e9] * 4))
    assert most == 1


def test_small_images_are_decoded_side_by_side() -> None:
    together = threading.Barrier(4)

    def occupy(_: int) -> int:
        with decoding.ROOM.taken(32):
            return together.wait(timeout=30)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(occupy, range(4))) == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.4\n", b""])
def test_a_document_under_an_images_name_runs_no_program(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg \((not an image|empty file)\)"):
        decode(pictures(tmp_path / "a.jpg"), 0, size_px=32)
