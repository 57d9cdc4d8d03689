"""Weights as other programs save them: what is read, what is chosen, and what each other file is called."""

import argparse
import io
import itertools
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel

from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.importing.pretrained import import_checkpoint
from search_spaces import REFERENCES, InputError
from search_spaces.network import build

SPEC = REFERENCES["mobilenet_v3_small"](width=0.35, classes=7)
PHOTOS = os.environ.get("MOBILE_NAS_PHOTOS")


@pytest.fixture(scope="module")
def model():
    """torchvision's class of SPEC's network, with its first convolution's weights all at 1."""
    network = torchvision.models.MobileNetV3(*_torchvision_settings(), num_classes=7)
    torch.nn.init.ones_(network.features[0][0].weight)
    return network.eval()


def _torchvision_settings():
    from torchvision.models.mobilenetv3 import _mobilenet_v3_conf

    return _mobilenet_v3_conf("mobilenet_v3_small", width_mult=0.35)


@pytest.fixture
def state(model):
    return dict(model.state_dict())


@pytest.fixture
def averaged(state):
    """Like `state`, with the first convolution's weights at 2."""
    return state | {"features.0.0.weight": torch.full_like(state["features.0.0.weight"], 2)}


@pytest.fixture
def imported(tmp_path):
    """The value of the first convolution's weights after an import, and what is said."""

    def go(content, *, name="w.pth", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif name.endswith("safetensors"):
            save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
        elif content is not None:
            torch.save(content, path)
        said = []
        spec = REFERENCES["mobilenet_v3_small"](width=0.35, convention="torchvision")
        seed = import_checkpoint(spec, path, notify=said.append, **options)
        return seed.weights["stem.0.weight"].unique().tolist(), " ".join(said)

    return go


@pytest.fixture
def refused(imported):
    def go(content, **options):
        with pytest.raises(InputError) as caught:
            imported(content, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return go


PREFIXES = ["module.", "_orig_mod.", "model.", "model._orig_mod.module.", "net.", "my_own.part."]
WRAPPERS = ["state_dict", "model", "model_state", "model_state_dict", "net", "weights", "params"]


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_removed(state, imported, name, prefix):
    assert imported({prefix + key: w for key, w in state.items()}, name=name) == ([1.0], "")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_are_found(state, imported, wrapper):
    others = {"epoch": 3, "args": {"lr": 0.1, "betas": (0.9, 0.99)}, "history": [1.0]}
    assert imported(others | {wrapper: state}) == ([1.0], "")
    assert imported({"checkpoint": {"last": others | {wrapper: state}}}) == ([1.0], "")


AVERAGED_KEYS = [
    "state_dict_ema",
    "model_ema",
    "ema",
    "ema_state_dict",
    "ema_model",
    "swa_model",
    "modelEma",
]


@pytest.mark.parametrize("key", AVERAGED_KEYS)
def test_plain_and_averaged_weights_in_a_file(state, averaged, imported, key):
    for content in ({"state_dict": state, key: averaged}, {key: averaged, "model": state}):
        taken, said = imported(content)
        assert taken == [1.0]
        assert f"it has averaged (EMA) ones too ({key}): --weights-of ema takes them" in said
        assert imported(content, kind="model")[0] == [1.0]
        taken, said = imported(content, kind="ema")
        assert taken == [2.0]
        assert f"took the averaged (EMA) weights ({key}); it has plain ones too" in said
    taken, said = imported({key: averaged})
    assert taken == [2.0]
    assert "took the averaged (EMA) weights" in said


def test_averages_of_swa_utils(model, averaged, imported, refused):
    network = AveragedModel(model)
    content = dict(network.state_dict())
    assert "n_averaged" in content
    taken, said = imported(content)
    assert taken == [1.0]
    assert "took the averaged (EMA) weights" in said
    assert "contains only averaged weights" in refused(content, kind="model")
    lightning = {f"model.{key}": w for key, w in model.state_dict().items()}
    lightning |= {f"ema_model.module.{key}": w for key, w in averaged.items()}
    lightning |= {"ema_model.n_averaged": torch.tensor(9), "criterion.weight": torch.ones(7)}
    content = {"state_dict": lightning, "optimizer_states": [], "callbacks": {}}
    assert imported(content)[0] == [1.0]
    assert imported(content, kind="ema")[0] == [2.0]


def test_a_file_of_plain_weights_has_no_averaged_ones(state, refused):
    assert "contains only plain weights, got --weights-of ema" in refused(state, kind="ema")


def test_of_equals_the_first_is_taken_and_told(state, averaged, imported):
    taken, said = imported({"best": state, "last": averaged})
    assert taken == [1.0]
    assert "took the plain weights (best); it has others that fit as well: last" in said


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_other_floats_become_float32(state, imported, tmp_path, kind, name):
    content = {key: w.to(kind) for key, w in state.items()}  # counters too, as some converters do
    assert imported(content, name=name)[0] == [1.0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features.1.block.0.0.weight", float("nan"), "features.1.block.0.0.weight has NaN among"),
        ("classifier.3.bias", float("inf"), "classifier.3.bias has infinity among its values (1 of 7)"),
        ("features.0.1.running_mean", -float("inf"), "features.0.1.running_mean has infinity"),
        ("features.0.1.running_var", -1.0, "features.0.1.running_var, a variance, is negative: -1"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_weights(state, refused, name, value, message):
    broken = state[name].clone()
    broken.view(-1)[0] = value
    assert message in refused(state | {name: broken})
    assert message in refused(
        {"model": {f"module.{k}": w for k, w in (state | {name: broken}).items()}}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.to(torch.int8), "holds int8 values, as in quantized weights"),
        (lambda w: w.double() * 1e300, "has infinity among its values"),
        (lambda w: w.to(torch.complex64), "is not a dense tensor of real numbers"),
        (lambda w: w.to_sparse(), "is not a dense tensor of real numbers"),
        (lambda w: w.new_ones(1).expand(2**20, 2**20), "1 values are stored"),
    ],
)
def test_tensors_that_cannot_be_weights(state, refused, change, message):
    name = "features.0.0.weight"
    assert f"{name} " in (said := refused(state | {name: change(state[name])}))
    assert message in said


@pytest.mark.parametrize(
    ("names", "owner"),
    [
        (["conv_stem.conv.weight", "bn1.weight"], "timm's"),
        (["model.blocks.1.0.conv_pwl.weight"], "timm's"),
        (["mobilenet_v2.conv_stem.first_conv.convolution.weight"], "transformers'"),
        (["mobilenet_v2.layer.3.expand_1x1.convolution.weight"], "transformers'"),
        (["_conv_stem.weight", "_blocks.0._depthwise_conv.weight"], "efficientnet_pytorch's"),
        (["backbone.conv1.conv.weight", "backbone.layer1.0.conv.0.conv.weight"], "OpenMMLab's"),
        (["layer1.0.conv1.weight", "fc.weight"], "a ResNet's"),
        (["features.1.0.block.0.0.weight"], "torchvision's EfficientNet"),
        (["cls_token", "blocks.0.attn.qkv.weight"], "a vision transformer's"),
        (["features.0.0.weight_orig", "features.0.0.weight_mask"], "torch's pruning"),
        (["MobilenetV2/Conv/weights", "MobilenetV2/Conv/BatchNorm/beta"], "TensorFlow's"),
    ],
)
def test_layouts_of_others_are_recognised(refused, names, owner):
    said = refused({"state_dict": {name: torch.ones(4, 3) for name in names}})
    assert f"{owner} " in said
    assert "not read yet" in said


@pytest.mark.parametrize(
    ("make", "suggestion"),
    [
        (
            lambda: torchvision.models.mobilenet_v3_small(width_mult=0.5, num_classes=3),
            "mobilenet_v3_small --width 0.5",
        ),
        (lambda: torchvision.models.mobilenet_v2(width_mult=0.35), "mobilenet_v2 --width 0.35"),
        (lambda: torchvision.models.mnasnet0_5(), "mnasnet_b1 --width 0.5"),
        (lambda: build(SPEC), "mobilenet_v3_small --width 0.35 --convention paper"),
    ],
)
def test_the_closest_network_is_suggested(refused, make, suggestion):
    said = refused(make().state_dict())
    assert "weights of another network" in said
    assert f"did you mean --arch {suggestion} (" in said
    assert "of 244 names and shapes match" in said


def test_weights_without_a_classifier(nas, state, tmp_path):
    headless = {k: w for k, w in state.items() if not k.startswith("classifier.3")}
    torch.save(headless, tmp_path / "w.pth")
    base = ("import", "--arch", "mobilenet_v3_small@0.35", "--weights", tmp_path / "w.pth")
    status, _, err = nas(*base, "-o", tmp_path / "s.pt")
    assert (status, err.count("\n")) == (2, 1)
    assert "have no classifier (classifier.3.weight is missing): give --classes N" in err
    assert nas(*base, "-o", tmp_path / "s.pt", "--classes", 5)[0] == 0
    assert load_checkpoint(tmp_path / "s.pt").spec.head.classes == 5
    del headless["features.0.0.weight"]
    torch.save(headless, tmp_path / "w.pth")
    status, _, err = nas(*base, "-o", tmp_path / "t.pt", "--classes", 5)
    assert status == 2
    assert "features.0.0.weight is missing: choose another" in err


def test_the_command_tells_which_weights_it_took(nas, state, averaged, tmp_path):
    torch.save({"model": state, "ema": {"module": averaged}}, tmp_path / "w.pth")
    base = ("import", "--arch", "mobilenet_v3_small@0.35", "--weights", tmp_path / "w.pth")
    for number, (options, value, said) in enumerate(
        (
            (
                (),
                1.0,
                "took the plain weights (model); it has averaged (EMA) ones too (ema.module)",
            ),
            (("--weights-of", "ema"), 2.0, "took the averaged (EMA) weights (ema.module)"),
        )
    ):
        status, _, err = nas(*base, "-o", tmp_path / f"{number}.pt", "--json", *options)
        assert status == 0
        assert said in err
        assert (load_checkpoint(tmp_path / f"{number}.pt").weights["stem.0.weight"] == value).all()
    status, _, err = nas(*base, "-o", tmp_path / "no.pt", "--weights-of", "best")
    assert status == 2
    assert "--weights-of must be model or ema, got 'best'" in err


def _saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def _tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return buffer.getvalue()


def _numpy():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


SCRIPTED = {"m__data.pkl": b"x", "m__constants.pkl": b"x", "m__code__x.py": ""}
OPTIMIZER = {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}
OPTIONS = argparse.Namespace(lr=1)
LINEAR = "a whole pickled model (torch.nn.modules.linear.Linear): not loaded; save its weights"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_zipped(**SCRIPTED), "a TorchScript archive (torch.jit.save): save its weights by"),
        (_zipped(m__archive_format="pt2"), "a program of torch.export"),
        (_zipped(word__document="x"), "torch.save did not write (it holds word/document)"),
        (_zipped(**{"model.weights.h5": "x"}), "a Keras model"),
        (_numpy(), "NumPy arrays (.npz)"),
        (_tarred(), "a tar file: unpack it"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05" + bytes(99), "an ONNX model: give the weights"),
        (b"\x1c\0\0\0TFL3" + bytes(99), "a LiteRT model (.tflite)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, as Keras saves"),
        (b"<!DOCTYPE html><html>404</html>", "a web page or XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git LFS pointer"),
        (b'{"metadata": {}, "weight_map": {}}', "JSON text"),
        (b"\x1f\x8b\x08" + bytes(99), "a gzip file: unpack it"),
        (b"", "empty"),
        (_saved({}), "contains no weights"),
        (_saved(OPTIMIZER), "only an optimizer's state"),
        (_saved({"epoch": 1, "optimizer": OPTIMIZER}), "only an optimizer's state"),
        (_saved([torch.ones(1)]), "contains list"),
        (_saved(torch.nn.Linear(2, 2)), LINEAR),
        (_saved(torch.nn.Linear(2, 2), _use_new_zipfile_serialization=False), LINEAR),
        (_saved({"model": {"w": torch.ones(1)}, "args": OPTIONS}), "contains more than weights"),
        (_saved({"args": OPTIONS}), "(argparse.Namespace): not loaded; save only the state dict"),
        ((2**60).to_bytes(8, "little") + b'{"a": 1}', "damaged, or not a safetensors file"),
    ],
)
def test_what_is_not_weights_is_called_by_its_name(refused, content, message):
    for name in ("w.pth", "w.safetensors"):
        assert message in refused(content, name=name)


def test_a_scripted_model_is_no_state_dict(refused, tmp_path):
    with pytest.warns(FutureWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "w.pth")
    assert "a TorchScript archive" in refused(None)


def test_places_that_are_no_files(refused, tmp_path):
    (tmp_path / "w.pth").mkdir()
    assert "is a folder" in refused(None)
    assert "absent.pth: No such file" in refused(None, name="absent.pth")


def test_names_of_files_do_not_decide_what_is_in_them(state, imported):
    """A state dict in a file that is called code.pth has `code` as its archive's first folder."""
    assert imported(state, name="code.pth")[0] == [1.0]
    content = _saved(state)
    assert imported(content, name="w.safetensors")[0] == [1.0]


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK", b"<"])
def test_a_length_may_look_like_another_file(state, imported, tmp_path, start):
    """A safetensors file begins with the length of its header, whose bytes may be any."""
    save_file(state, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, values = content[8 : 8 + length], content[8 + length :]
    wanted = int.from_bytes(start, "little")
    while wanted < length:
        wanted += 1 << 8 * len(start)
    padded = wanted.to_bytes(8, "little") + header.ljust(wanted) + values
    assert padded.startswith(start)
    assert imported(padded, name="w.bin")[0] == [1.0]


def test_weights_where_a_seed_is_wanted(nas, state, tmp_path):
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    commands = ("evaluate", "train")
    for name, command in itertools.product(("w.pth", "w.safetensors"), commands):
        status, _, err = nas(command, tmp_path / name, "--data", tmp_path)
        assert (status, err.count("\n")) == (2, 1)
        assert f"nas import --arch NAME --weights {tmp_path / name}" in err


@pytest.mark.skipif(not PHOTOS, reason="MOBILE_NAS_PHOTOS names the folder with others' weights")
@pytest.mark.parametrize(
    ("name", "arch", "width", "classes"),
    [
        ("mobilenet_v2-b0353104.pth", "mobilenet_v2", 1.0, 1000),
        ("mobilenet_v2_0.35-imagenet-headless.safetensors", "mobilenet_v2", 0.35, None),
        ("mobilenet_v3_small-imagenet-dequantized-fp16.safetensors", "mobilenet_v3_small", 1.0, 1000),
    ],
)  # fmt: skip
def test_real_files(name, arch, width, classes):
    path = Path(PHOTOS) / "weights" / name
    spec = REFERENCES[arch](width=width, classes=5, convention="torchvision")
    seed = import_checkpoint(spec, path, headless=classes is None)
    assert seed.spec.head.classes == (classes or 5)
    assert seed.usage.named is (classes == 1000)
    assert seed.weights["stem.0.weight"].dtype == torch.float32
    other = REFERENCES["mobilenet_v3_large"](convention="torchvision")
    at = "" if width == 1.0 else f" --width {width}"
    with pytest.raises(InputError, match=rf"did you mean --arch {arch}{at} \("):
        import_checkpoint(other, path)
