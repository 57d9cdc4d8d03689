"""Append a task's post-processing to an exported network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import compose
from torch import Tensor

from nas.export.onnx_export import ExportError
from nas.export.onnx_file import open_onnx
from nas.export.running import as_tensors
from nas.tasks import task_of, task_of_spec
from nas.tasks.postprocessing import Postprocessing
from search_spaces import ArchSpec
from search_spaces.exporting.onnx_export import traced

AGREEING = 0.99
"""Least agreement with torch's results, which rounding may change a little."""


def with_postprocessing(model: bytes, spec: ArchSpec) -> bytes:
    """Append the post-processing of a network's task to an ONNX model.

    Args:
        model: The network with its raw outputs, float or int8, of any batch size.
        spec: The network.

    Raises:
        InputError: The task has no post-processing.
        ExportError: The results of random outputs are not those of torch.
    """
    process = task_of(task_of_spec(spec)).postprocessing(spec).eval()
    network, run = onnx.load_from_string(model), open_onnx(model)
    side = run.takes.size_px
    assert side is not None
    outputs = as_tensors(run(np.zeros((1, 3, side, side), run.takes.dtype)))
    names = [output.name for output in network.graph.output]
    results = onnx.load_from_string(
        traced(
            process,
            given := (outputs,) if isinstance(outputs, Tensor) else outputs,
            inputs=[
                f"results/{name}" for name in names
            ],  # results may be called as the outputs are
            outputs=process.output_names,
            dynamic_batch=run.takes.batch is None,
        )
    )
    results.ir_version = network.ir_version
    _check(results.SerializeToString(), process, given, spec)
    network = compose.add_prefix(
        network,
        "network/",
        rename_nodes=False,
        rename_edges=False,
        rename_inputs=False,
        rename_initializers=False,
        rename_value_infos=False,
    )
    results = compose.add_prefix(results, "results/", rename_inputs=False, rename_outputs=False)
    joints = [(f"network/{name}", f"results/{name}") for name in names]
    return bytes(compose.merge_models(network, results, io_map=joints).SerializeToString())


def _check(model: bytes, process: Postprocessing, like: tuple[Tensor, ...], spec: ArchSpec) -> None:
    """Compare the results of random outputs with torch's.

    Those of a real image may have equal scores, of which any may be the first.

    Args:
        model: ONNX of the post-processing alone.
        process: The same in torch.
        like: Outputs of the network.
        spec: The network.

    Raises:
        ExportError: They do not agree.
    """
    generator = torch.Generator().manual_seed(0)
    outputs = tuple(torch.randn(one.shape, generator=generator) for one in like)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    fed = {name: output.numpy() for name, output in zip(names, outputs, strict=True)}
    found = tuple(map(torch.from_numpy, session.run(None, fed)))
    with torch.inference_mode():
        expected = process(*outputs)
    task = task_of(task_of_spec(spec))
    (ours,), (theirs,) = (
        task.predictions(results, spec=spec)
        for results in (found if len(found) > 1 else found[0], expected)
    )
    if not ours.agreement(theirs) >= AGREEING:
        raise ExportError(
            f"ONNX's post-processing agrees with torch's by {ours.agreement(theirs):.1%} only, under "
            f"{AGREEING:.0%}"
        )
