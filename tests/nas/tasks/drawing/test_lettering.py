"""The font that class names are drawn with."""

import logging

import pytest
import torch

from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.drawing import lettering as module
from nas.tasks.drawing.lettering import Lettering, lettering


@pytest.fixture(autouse=True)
def forgotten():
    lettering.cache_clear()
    yield
    lettering.cache_clear()


def fonts(monkeypatch, characters):
    """Pretend that fonts of these names are installed, each with the characters given."""
    shipped = module._shipped()
    plain = module._lacking

    def lacking(font, wanted):
        return wanted - set(characters[font]) if font in characters else plain(font, wanted)

    monkeypatch.setattr(module, "_lacking", lacking)
    monkeypatch.setattr(module, "_installed", lambda: list(characters))
    return shipped


def test_latin_greek_and_cyrillic_need_no_other_font(monkeypatch, caplog):
    shipped = fonts(monkeypatch, {"cjk.ttc": "abc猫"})
    classes = ("cat", "größer", "γάτα", "кошка")
    assert lettering(classes) == Lettering(shipped, {name: name for name in classes})
    assert not caplog.records


def test_an_installed_font_is_taken_for_other_characters(monkeypatch, caplog):
    fonts(monkeypatch, {"kana.ttc": "catネコ", "cjk.ttc": "cat猫ネコ"})
    classes = ("cat", "猫", "ネ コ")
    assert lettering(classes) == Lettering("cjk.ttc", {name: name for name in classes})
    assert not caplog.records


def test_without_one_the_index_is_drawn_and_said_once(monkeypatch, caplog):
    shipped = fonts(monkeypatch, {})
    classes = ("cat", "猫", "犬")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert lettering(classes) == Lettering(shipped, {"cat": "cat", "猫": "1", "犬": "2"})
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "no installed font has the characters of '猫', so images show the indices of such classes"
    ]
    pixels = torch.zeros(3, 64, 64, dtype=torch.uint8)
    box = torch.tensor([[0.1, 0.4, 0.9, 0.9]])
    drawn, plain = (
        FoundBoxes(box, None, torch.tensor([1])).drawn(pixels, names)
        for names in (classes, ("cat", "1", "dog"))
    )
    assert torch.equal(drawn, plain)


def test_the_installed_fonts_are_listed():
    for font in module._installed():
        assert len(module._lacking(font, {"a", "猫", "고", "ネ"})) < 4
