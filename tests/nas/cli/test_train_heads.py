"""`nas train` with --task, --head and --backbone."""

import pytest

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.usage import Usage
from nas.data.drawn import write_scenes
from search_spaces import REFERENCES
from search_spaces.heads.specs import LRASPPHead, SSDLiteHead
from search_spaces.network import build


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images with boxes and masks."""
    folder = tmp_path_factory.mktemp("scenes") / "data"
    list(write_scenes(folder, {"train": 24, "test": 8}, px=64, seed=0))
    return folder


@pytest.fixture
def small_seed(tmp_path):
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=5)
    usage = Usage(tuple("abcde"), 64, (0.5,) * 3, (0.25,) * 3)
    path = tmp_path / "classifier.pt"
    path.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    return path


def train(nas, scenes, tmp_path, *options, size=("--resolution", 64)):
    trained = tmp_path / "trained.pt"
    code, _, err = nas(
        "train", "--data", scenes, "--epochs", 1, "--batch-size", 4, *size,
        "--runs", tmp_path / "runs", "-o", trained, *options,
    )  # fmt: skip
    return code, " ".join(err.split()), trained


def test_a_classifier_becomes_the_body_of_a_named_head(nas, scenes, tmp_path, small_seed):
    body = load_checkpoint(small_seed).spec
    options = ("--backbone", small_seed, "--head", "ssdlite-half")
    code, err, trained = train(nas, scenes, tmp_path, *options)
    assert code == 0, err
    spec = load_checkpoint(trained).spec
    assert isinstance(spec.head, SSDLiteHead)
    assert spec.head.conv == body.head.conv // 2
    assert spec.blocks[-1].out == body.blocks[-1].out // 2
    assert spec.blocks[0] == body.blocks[0]


def test_the_task_chooses_between_boxes_and_masks(nas, scenes, tmp_path):
    options = ("mobilenet_v3_small@0.35", "--task", "segment", "--head", "lraspp-f64")
    code, err, trained = train(nas, scenes, tmp_path, *options)
    assert code == 0, err
    head = load_checkpoint(trained).spec.head
    assert isinstance(head, LRASPPHead)
    assert (head.filters, head.classes) == (64, 7)


def test_a_published_network_with_a_head_trains_at_the_images_size(nas, scenes, tmp_path):
    network = "mobilenet_v3_small@0.35:ssdlite"
    code, err, trained = train(nas, scenes, tmp_path, network, size=())
    assert code == 0, err
    assert load_checkpoint(trained).spec.resolution == 64


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("mobilenet_v2", "--backbone", "mobilenet_v2"), "leave mobilenet_v2 out"),
        (("--backbone", "mobilenet_v2", "--from-scratch"), "leave --from-scratch out"),
        (("--backbone", "nowhere.pt"), "nowhere.pt"),
        ((), "give a network to train"),
        (("mobilenet_v2", "--task", "detekt"), "did you mean detect?"),
        (("mobilenet_v2", "--head", "lraspp"), "is for the task segment"),
        (("mobilenet_v2", "--head", "ssdlight"), "did you mean ssdlite?"),
    ],
)
def test_options_that_do_not_fit_are_refused(nas, scenes, tmp_path, options, said):
    code, err, _ = train(nas, scenes, tmp_path, *options)
    assert code == 2
    assert said in err


def test_the_help_says_that_images_may_have_boxes_or_masks(nas):
    _, out, _ = nas("train", "--help")
    assert "images with boxes or masks" in " ".join(out.replace("│", " ").split())


def test_a_recipe_without_effect_on_boxes_is_refused(nas, scenes, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("augment: {cutmix: 1.0}")
    code, err, _ = train(nas, scenes, tmp_path, "mobilenet_v2", "--recipe", recipe)
    assert code == 2
    assert f"recipe {recipe}: augment.cutmix 1.0 has no effect on the task detect" in err
    assert "reading images" not in err


def test_the_data_command_takes_the_task_too(nas, scenes):
    code, out, err = nas("data", scenes, "--task", "segment")
    assert code == 0, err
    assert "background" in out
    code, out, _ = nas("data", scenes)
    assert code == 0
    assert "background" not in out
