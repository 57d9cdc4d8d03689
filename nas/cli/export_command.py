"""`nas export`: a network as a file for a runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import JsonFlag, messages, print_json
from nas.cli.specs import Changes, open_spec
from nas.runs import write_whole
from search_spaces import InputError


def export(
    spec: Annotated[
        str, typer.Argument(help="A seed.pt, or a spec (its weights are then random).")
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX (the default).")] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; beside the input by default.")
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="Input side in pixels.")] = None,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="Any batch size.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a network as ONNX, after comparing its logits with torch's."""
    assert onnx, "ONNX is the one format yet"
    network_spec = open_spec(spec, Changes(resolution))
    path = output or Path(spec).with_suffix(".onnx")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it, or choose another --output")
    from nas.export import checked_onnx, largest_difference
    from nas.seeds import load_seed
    from search_spaces.network import build
    from search_spaces.onnx_export import OPSET

    network = build(network_spec).eval()
    trained = spec.endswith(".pt")
    if trained:
        network.load_state_dict(load_seed(spec).weights)
    model = checked_onnx(network, dynamic_batch=dynamic_batch)
    write_whole(path, model)
    difference = largest_difference(network, model)
    if as_json:
        print_json(
            {
                "path": str(path),
                "opset": OPSET,
                "bytes": len(model),
                "trained": trained,
                "largest_difference": difference,
            }
        )
        return
    weights = "" if trained else ", random weights"
    messages().print(
        f"{path}: {len(model) / 1e6:.1f} MB, opset {OPSET}{weights}; "
        f"logits differ from torch's by {difference:.1g}"
    )
