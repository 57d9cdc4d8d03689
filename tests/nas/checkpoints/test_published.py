"""Published weights by name, and those in the package."""

import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from nas.checkpoints.importing import embedded, published
from nas.checkpoints.importing.published import is_published, published_checkpoint
from search_spaces import InputError, count


def test_the_package_has_mobilenet_v2_without_its_classifier():
    checkpoint = embedded.embedded_checkpoint()
    weights = {k: v for k, v in checkpoint.weights.items() if "classifier" not in k}
    theirs = torchvision.models.mobilenet_v2().features.state_dict()
    assert sum(v.numel() for v in weights.values()) == sum(v.numel() for v in theirs.values())
    assert (
        count(checkpoint.spec).params == 2_223_872 + 1281
    )  # torchvision's features, and one class
    assert all(torch.isfinite(v).all() for v in weights.values() if v.is_floating_point())


@pytest.mark.skipif("MOBILE_NAS_PHOTOS" not in os.environ, reason="needs torchvision's weights")
def test_they_are_torchvisions_to_half_precision():
    path = Path(os.environ["MOBILE_NAS_PHOTOS"]) / "weights" / "mobilenet_v2-b0353104.pth"
    theirs = torch.load(path, weights_only=True)
    network = torchvision.models.mobilenet_v2().eval()
    network.load_state_dict(theirs)
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    ours = embedded.embedded_checkpoint().network()
    with torch.no_grad():
        wanted = network.features(images)
        features = images
        for layer in (ours.stem, *ours.blocks, ours.head.conv):
            features = layer(features)
    torch.testing.assert_close(features, wanted, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mnasnet0_5", "mnasnet_b1@0.5"])
def test_torchvision_names_are_fetched_once(name, tmp_path, monkeypatch):
    theirs = published.TORCHVISION.get(name, name)
    network = torchvision.models.get_model(theirs, weights=None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    fetched = []

    def fetch(url, path, hash_prefix):
        assert Path(url).stem.endswith(hash_prefix)
        fetched.append(url)
        torch.save(network.state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    checkpoint = published_checkpoint(name)
    assert published_checkpoint(name).spec == checkpoint.spec
    assert len(fetched) == 1
    assert checkpoint.usage.named
    assert count(checkpoint.spec).params == sum(p.numel() for p in network.parameters())


class BrokenOffError(Exception):
    """What a library that fetches may raise."""


def test_a_download_that_breaks_off_is_one_line(monkeypatch):
    timm = pytest.importorskip("timm")

    def create_model(name, pretrained):
        raise BrokenOffError("peer closed the connection\nafter 3 bytes")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(
        InputError, match=r"cannot be fetched \(peer closed the connection\): download"
    ):
        published_checkpoint("mobilenetv3_large_100")


def test_without_internet_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fetch(url, path, hash_prefix):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(
        InputError, match="then nas import --arch mobilenet_v3_large --weights FILE"
    ):
        published_checkpoint("mobilenet_v3_large")


def test_timm_names_give_its_weights(monkeypatch):
    timm = pytest.importorskip("timm")
    made = timm.create_model("mobilenetv2_050", pretrained=False)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: made)
    checkpoint = published_checkpoint("mobilenetv2_050")
    assert count(checkpoint.spec).params == sum(p.numel() for p in made.parameters())


def test_other_names_are_not_published():
    assert not is_published("resnet50")
    with pytest.raises(InputError, match="no published weights 'resnet50'"):
        published_checkpoint("resnet50")
