import pytest

from nas.ablating.reading import NAMES, read_ablation
from search_spaces import InputError, count
from search_spaces.spec import to_yaml

NETWORKS = ("components", "kernels", "multipliers", "nonlinearities")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_ablations_are_networks_that_differ(name):
    ablation, folder = read_ablation(name)
    specs = [(one.spec(folder), one.resolution) for one in ablation.networks]
    assert len(set(specs)) == len(specs) >= 5
    assert all(count(spec).madds > 0 for spec, _ in specs)
    assert len({one.title for one in ablation.networks}) == len(specs)


def test_there_are_ablations_of_networks_and_of_searches():
    assert (*NETWORKS[:1], "controllers", *NETWORKS[1:], "rewards") == NAMES


def test_multipliers_have_all_widths_and_sizes_of_both_networks():
    ablation, _ = read_ablation("multipliers")
    for network in ("mobilenet_v3_large", "mobilenet_v3_small"):
        own = [one for one in ablation.networks if one.network == network]
        assert {one.width for one in own} == {0.35, 0.5, 0.75, 1.0, 1.25}
        assert {one.resolution for one in own} == {96, 128, 160, 192, 224, 256}


def test_a_copy_can_be_changed(tmp_path):
    spec = read_ablation("kernels")[0].networks[0].spec(tmp_path)
    (tmp_path / "mine.yaml").write_text(to_yaml(spec))
    path = tmp_path / "list.yaml"
    path.write_text(
        "about: mine\nnetworks:\n- {network: mine.yaml}\n"
        "- {network: mobilenet_v2, width: 0.5, resolution: 96, changes: [kernel@5]}\n"
    )
    ablation, folder = read_ablation(str(path))
    assert [one.title for one in ablation.networks] == [
        "mine.yaml",
        "mobilenet_v2@0.5, kernel@5, 96 px",
    ]
    assert ablation.networks[0].spec(folder) == spec


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("about: a\nnetworks: []\n", "networks"),
        ("about: a\nnetworks: [{network: mobilenet_v2}, {network: mobilenet_v2}]\n", "called"),
        ("about: a\nnetworks: [{network: mobilenet_v2}, {net: x}]\n", r"networks\.1\.net"),
        (
            "about: a\nnetworks: [{network: mobilenet_v2}, {network: mobilenet_v1, width: 0}]\n",
            "width",
        ),
        ("[1, 2]\n", "expected about, and networks or searches, got list"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message):
    path = tmp_path / "list.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_ablation(str(path))


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(InputError, match=r"kernels.*did you mean kernels"):
        read_ablation("kernel")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{network: mobilenet_v4}", "no network 'mobilenet_v4'"),
        ("{network: mobilenet_v2, changes: [last-stages]}", "no change 'last-stages'"),
        ("{network: mobilenet_v3_large, changes: [last-stage]}", "already pools"),
    ],
)
def test_a_network_that_cannot_be_made_is_named(tmp_path, entry, message):
    path = tmp_path / "list.yaml"
    path.write_text(f"about: a\nnetworks: [{{network: mobilenet_v1}}, {entry}]\n")
    ablation, folder = read_ablation(str(path))
    with pytest.raises(InputError, match=message):
        ablation.networks[1].spec(folder)
