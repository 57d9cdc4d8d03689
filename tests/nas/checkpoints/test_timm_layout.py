"""timm's weights: the imported network gives timm's own logits."""

import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from nas.checkpoints.importing.pretrained import import_checkpoint
from nas.checkpoints.importing.timm_layout import from_timm, timm_network
from search_spaces import InputError

NAMES = [
    "tf_mobilenetv3_large_100",
    "tf_mobilenetv3_large_075",
    "tf_mobilenetv3_large_minimal_100",
    "tf_mobilenetv3_small_100",
    "tf_mobilenetv3_small_minimal_100",
    "mobilenetv3_small_050",
    "tf_mobilenetv3_small_075",
    "mobilenetv3_large_100",
    "mobilenetv1_100",
    "mobilenetv2_050",
    "mobilenetv2_140",
    "mnasnet_100",
    "semnasnet_075",
]


def timm_model(name, classes=1000):
    """Return timm's network with random weights and statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=classes)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
                torch.nn.init.normal_(module.running_mean, 0, 0.2)
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_imported_network_has_timms_logits(name, tmp_path):
    model = timm_model(name)
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    named = timm_network(name)
    imported = import_checkpoint(
        named.spec, tmp_path / "timm.safetensors", normalization=named.normalization
    )
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, found = model(image), imported.network()(image)
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max())
    mean = timm.get_pretrained_cfg(name).mean
    assert imported.usage.mean == pytest.approx(mean)


def test_a_name_with_its_training_is_known_too():
    assert timm_network("mobilenetv3_small_100.lamb_in1k") == timm_network("mobilenetv3_small_100")
    assert timm_network("mobilenetv2_110d") is None
    assert timm_network("resnet50") is None


def test_other_names_stay_and_are_refused(tmp_path):
    state = dict(timm_model("mobilenetv2_050").state_dict())
    state["extra.weight"] = torch.zeros(1)
    assert "extra.weight" in from_timm(state)
    save_file(state, tmp_path / "timm.safetensors")
    with pytest.raises(InputError, match=r"extra\.weight is not in the network"):
        import_checkpoint(timm_network("mobilenetv2_050").spec, tmp_path / "timm.safetensors")


def test_the_background_class_is_left_out(tmp_path):
    model = timm_model("mobilenetv2_050", classes=1001)
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    spec, notes = timm_network("mobilenetv2_050").spec, []
    seed = import_checkpoint(spec, tmp_path / "timm.safetensors", notify=notes.append)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(seed.network()(image), model(image)[:, 1:], atol=1e-4)
    assert len(seed.usage.classes) == 1000
    assert seed.usage.named
    assert seed.usage.classes[0] == "tench"
    assert "left out the first of 1,001 classes" in notes[0]
    whole = import_checkpoint(spec, tmp_path / "timm.safetensors", keep_background=True)
    assert len(whole.usage.classes) == 1001


def test_reading_the_options_loads_no_timm():
    code = "import sys, nas.cli.main; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
