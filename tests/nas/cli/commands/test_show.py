"""`nas show`: the paper's tables as printed, two networks side by side, many in short."""

import json
import subprocess
import sys

import pytest

from search_spaces import REFERENCES, count
from search_spaces.cost import layers_by_stage
from search_spaces.spec import save

# MobileNetV3 paper, table 1: input, operator, exp size, #out, SE, NL, s.
TABLE_1 = """\
224²x3 | conv2d, 3x3 | - | 16 | - | HS | 2
112²x16 | bneck, 3x3 | 16 | 16 | - | RE | 1
112²x16 | bneck, 3x3 | 64 | 24 | - | RE | 2
56²x24 | bneck, 3x3 | 72 | 24 | - | RE | 1
56²x24 | bneck, 5x5 | 72 | 40 | ✓ | RE | 2
28²x40 | bneck, 5x5 | 120 | 40 | ✓ | RE | 1
28²x40 | bneck, 5x5 | 120 | 40 | ✓ | RE | 1
28²x40 | bneck, 3x3 | 240 | 80 | - | HS | 2
14²x80 | bneck, 3x3 | 200 | 80 | - | HS | 1
14²x80 | bneck, 3x3 | 184 | 80 | - | HS | 1
14²x80 | bneck, 3x3 | 184 | 80 | - | HS | 1
14²x80 | bneck, 3x3 | 480 | 112 | ✓ | HS | 1
14²x112 | bneck, 3x3 | 672 | 112 | ✓ | HS | 1
14²x112 | bneck, 5x5 | 672 | 160 | ✓ | HS | 2
7²x160 | bneck, 5x5 | 960 | 160 | ✓ | HS | 1
7²x160 | bneck, 5x5 | 960 | 160 | ✓ | HS | 1
7²x160 | conv2d, 1x1 | - | 960 | - | HS | 1
7²x960 | pool, 7x7 | - | - | - | - | 1
1²x960 | conv2d 1x1, NBN | - | 1280 | - | HS | 1
1²x1280 | conv2d 1x1, NBN | - | 1000 | - | - | 1"""
SQUEEZED = ["24", "32", "32", "120", "168", "168", "240", "240"]

# How the older networks end, typed from their papers; torchvision and timm have the same shapes.
V1_END = [
    "14²x512 | sepconv, 3x3 | 512 | 1024 | - | RE6 | 2",
    "7²x1024 | sepconv, 3x3 | 1024 | 1024 | - | RE6 | 1",
    "7²x1024 | pool, 7x7 | - | - | - | - | 1",
    "1²x1024 | conv2d 1x1, NBN | - | 1000 | - | - | 1",
]
V2_END = [
    "7²x160 | bneck, 3x3 | 960 | 320 | - | RE6 | 1",
    "7²x320 | conv2d, 1x1 | - | 1280 | - | RE6 | 1",
    "7²x1280 | pool, 7x7 | - | - | - | - | 1",
    "1²x1280 | conv2d 1x1, NBN | - | 1000 | - | - | 1",
]
# Of MobileNetV3-Large's rows, counted with timm 1.0.31 and fvcore: M MAdds.
LARGE_MADDS_M = """5.42 5.02 19.47 12.87 9.09 9.89 9.89 11.71 6.62 6.09 6.09 19.03 30.91 21.07 16.69 16.69
7.53 - 1.23 1.28"""


def printed_rows(out):
    """The table's lines, each as its cells; the SE column's two words are two cells."""
    return [line.split() for line in out.splitlines() if "²x" in line]


def expected(line):
    return line.replace("|", " ").split()


def paper_columns(row):
    """The paper's seven columns of a printed row, without the width of squeeze-and-excite."""
    if "✓" in row:
        del row[row.index("✓") + 1]
    return row[: len(row) - 3]


def test_large_is_printed_as_in_the_paper(nas):
    code, out, _ = nas("show", "mobilenet_v3_large")
    rows = printed_rows(out)
    assert code == 0
    assert [row[-1].removesuffix("M") for row in rows] == LARGE_MADDS_M.split()
    assert [row[row.index("✓") + 1] for row in rows if "✓" in row] == SQUEEZED
    skips = [row[-3] for row in rows]
    assert skips.count("id") == 10  # stride 1, and as many channels out as in
    assert set(skips) == {"id", "-"}
    assert [paper_columns(row) for row in rows] == [expected(line) for line in TABLE_1.splitlines()]
    assert "5,483,032 parameters, 216.6M MAdds at 224 px" in out
    assert REFERENCES["mobilenet_v3_large"]().fingerprint in out


@pytest.mark.parametrize(("name", "end"), [("mobilenet_v1", V1_END), ("mobilenet_v2", V2_END)])
def test_the_last_stages_of_older_networks(nas, name, end):
    _, out, _ = nas("show", name)
    rows = [paper_columns(row) for row in printed_rows(out)]
    assert rows[-4:] == [expected(line) for line in end]


def test_rows_add_up_to_the_total(nas):
    for name in REFERENCES:
        _, out, _ = nas("show", name, "--resolution", 192, "--classes", 37)
        params = [row[-2].replace(",", "") for row in printed_rows(out)]
        spec = REFERENCES[name](resolution=192, classes=37)
        total = sum(int(number) for number in params if number != "-")
        assert (
            total
            == count(spec).params
            == sum(la.params for _, s in layers_by_stage(spec) for la in s)
        )


def test_one_network_fits_a_narrow_terminal(nas):
    for name in REFERENCES:
        _, out, _ = nas("show", name)
        assert max(map(len, out.splitlines())) <= 80, name


def halves(out):
    """The two sides of the lines of a comparison, by where the second's input begins."""
    lines = out.splitlines()
    start = next(line for line in lines if "B: input" in line).index("B: input")
    body = [line for line in lines if "²x" in line]
    return [line[:start].split() for line in body], [line[start:].split() for line in body]


def test_two_networks_stand_side_by_side(nas):
    code, out, _ = nas("show", "mobilenet_v2", "mobilenet_v3_large")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 120
    left, right = halves(out)
    for mine, other in zip(left, right, strict=True):
        if mine[0][0].isdigit() and other:  # equal maps beside each other
            assert mine[0].split("²")[0] == other[0].split("²")[0]
    firsts = [row[0] for row in left if row and row[0][0].isdigit()]
    assert firsts == [row[0] for row in printed_rows(nas("show", "mobilenet_v2")[1])]
    assert "A  mobilenet_v2: 3,504,872 parameters, 300.8M MAdds at 224 px" in out
    total = next(line for line in out.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "3.50M", "5.48M", "1.56", "300.77M", "216.59M", "0.72"]


def test_what_differs_is_marked(nas):
    _, out, _ = nas("show", "mobilenet_v3_large_unimproved", "mobilenet_v3_large")
    body = [line for line in out.splitlines() if "²x" in line]
    gone = [line.split() for line in body if line.rstrip().endswith("<")]
    assert [row[:4] for row in gone] == [
        ["7²x160", "bneck,", "3x3", "960"]
    ]  # figure 5 of the paper
    added = [line.split() for line in body if line.strip().startswith(">")]
    assert [row[1:5] for row in added] == [["1²x960", "1x1,", "NBN", "-"]]
    # ReLU blocks without squeeze-and-excite behind the first, and the classifier.
    same = [line for line in body if not set("|<>") & set(line)]
    assert len(same) == 3
    _, out, _ = nas("show", "mobilenet_v1", "mobilenet_v1")
    assert not any(set("|<>") & set(line) for line in out.splitlines() if "²x" in line)


def test_networks_of_different_resolutions_align_by_stage(nas, tmp_path):
    save(REFERENCES["mobilenet_v2"](resolution=160), tmp_path / "small.yaml")
    _, out, _ = nas("show", "mobilenet_v2", tmp_path / "small.yaml")
    left, right = halves(out)
    pairs = {(a[0].split("²")[0], b[0].split("²")[0]) for a, b in zip(left, right, strict=True)}
    maps = [("224", "160"), ("112", "80"), ("56", "40"), ("28", "20"), ("14", "10"), ("7", "5")]
    assert pairs == {*maps, ("1", "1")}
    assert "56² / 40²" in out


def test_more_than_two_are_a_line_each(nas):
    names = ["mobilenet_v1", "mobilenet_v2@0.75", "mnasnet_a1"]
    code, out, _ = nas("show", *names, "--resolution", 192)
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert code == 0
    assert lines["mobilenet_v1"][1] == "4,231,976"
    assert {name: lines[name][3:5] for name in names} == {
        "mobilenet_v1": ["192", "13"],
        "mobilenet_v2@0.75": ["192", "17"],
        "mnasnet_a1": ["192", "16"],
    }
    for name, slim in (("mobilenet_v1", 418), ("mobilenet_v2@0.75", 153)):
        assert int(float(lines[name][2].removesuffix("M"))) == slim


def test_json_is_one_document_or_a_list(nas):
    _, out, _ = nas("show", "mobilenet_v3_small", "--json")
    one = json.loads(out)
    assert set(one) == {"name", "fingerprint", "params", "madds", "stages", "spec"}
    assert (one["params"], one["madds"]) == (2_542_856, 56_510_400)
    _, out, _ = nas("show", "mobilenet_v2", "mobilenet_v3_small", "--json")
    many = json.loads(out)
    assert [document["name"] for document in many] == ["mobilenet_v2", "mobilenet_v3_small"]
    assert many[1] == one


def test_a_width_is_for_the_references_among_the_networks(nas, tmp_path):
    path = tmp_path / "net.yaml"
    save(REFERENCES["mobilenet_v3_small"](), path)
    _, out, _ = nas("show", "mobilenet_v3_large", path, "--width", 0.75, "--json")
    large, small = json.loads(out)
    assert large["params"] == 3_993_528  # timm's large_075
    assert small["params"] == 2_542_856
    _, out, _ = nas("show", "mobilenet_v2@0.5", "mobilenet_v3_large", "--width", 0.75, "--json")
    half, again = json.loads(out)
    assert half["params"] == count(REFERENCES["mobilenet_v2"](width=0.5)).params
    assert again["params"] == large["params"]
    code, out, err = nas("show", path, path, "--width", 0.75)
    assert (code, out) == (2, "")
    assert "--width applies to reference networks" in err


def test_convention_and_classes_apply_to_each(nas):
    options = ["--width", 0.5, "--convention", "torchvision", "--json"]
    _, out, _ = nas("show", "mobilenet_v3_large", "mobilenet_v3_small", *options)
    assert [document["params"] for document in json.loads(out)] == [1_734_576, 917_264]
    _, out, _ = nas("show", "mobilenet_v2", "mnasnet_b1", "--classes", 10, "--json")
    assert [document["spec"]["head"]["classes"] for document in json.loads(out)] == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["mobilenet_v2", "absent.yaml"], "absent.yaml"),
        (["mobilenet_v2", "nope", "mnasnet_a1"], "no network 'nope'"),
        (["mobilenet_v2", "mnasnet_a1", "--width", "0"], "width must be a number above 0, got 0"),
        (["mobilenet_v2", "mnasnet_a1", "--convention", "timm"], "got 'timm'"),
        (["mobilenet_v2@0.5", "--width", "0.75"], "both set the width multiplier"),
        (["mobilenet_v2@wide", "mnasnet_a1"], "mobilenet_v2@0.75"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line(nas, arguments, reason):
    code, out, err = nas("show", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "improve"])
def test_help_needs_no_torch(command):
    code = (
        f"import sys; sys.argv = ['nas', '{command}', '--help']\n"
        "from nas.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print([m for m in ('torch', 'ray', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_heads_are_named_after_a_colon(nas, tmp_path):
    _, out, _ = nas("show", "mobilenet_v3_large:ssdlite-half")
    assert "3,440,060 parameters, 583.2M MAdds at 320 px" in " ".join(out.split())
    rows = [line for line in out.splitlines() if "map " in line or "extra " in line]
    assert len(rows) == 4 + 2 * 6
    save(REFERENCES["mobilenet_v2"](resolution=96), tmp_path / "v2.yaml")
    _, out, _ = nas("show", f"{tmp_path / 'v2.yaml'}:lraspp", "--classes", 8, "--json")
    document = json.loads(out)
    assert document["spec"]["head"]["kind"] == "lraspp"
    assert document["spec"]["head"]["classes"] == 8
    assert document["spec"]["resolution"] == 96
    code, _, err = nas("show", "mobilenet_v2:sdlite")
    assert code == 2
    assert "no head 'sdlite': give one of ssdlite, lraspp, raspp" in err
    code, out, _ = nas("show", "mobilenet_v2:ssdlite", "mobilenet_v3_large:ssdlite")
    assert code == 0
