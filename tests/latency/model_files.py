"""Small model files, valid and invalid."""

import flatbuffers
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def onnx_model(
    shape=(1, 3, 64, 64), *, kind=TensorProto.FLOAT, channels_last=False, more=(), opset=17
):
    """A convolution and a pooling; of another type or layout, what brings the input there first."""
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    nodes, name = [], "image"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT))
        name = "float"
    if channels_last:
        nodes.append(helper.make_node("Transpose", [name], ["first"], perm=[0, 3, 1, 2]))
        name = "first"
    nodes += [
        helper.make_node("Conv", [name, "weights"], ["wide"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["wide"], ["logits"]),
    ]
    batch = shape[0] if shape else None
    given = helper.make_tensor_value_info("image", kind, None if shape is None else list(shape))
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 8, 1, 1])
    weights = numpy_helper.from_array(weights, "weights")
    return model_of(nodes, [given, *more], [out], [weights], opset=opset)


def model_of(nodes, inputs, outputs, weights=(), *, opset=17):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def save_with_data(model, path, *, location=None):
    """Save a model with external weights."""
    onnx.save(
        model, path, save_as_external_data=True, size_threshold=0, location=location or "m.data"
    )


def tflite_model(shape, *, signature=None, kind=0, inputs=1):
    """A file of the format's schema with an input, an output and a mean over height and width."""
    build = flatbuffers.Builder()

    def numbers(values):
        build.StartVector(4, len(values), 4)
        for value in reversed(values):
            build.PrependInt32(value)
        return build.EndVector()

    def references(places):
        build.StartVector(4, len(places), 4)
        for place in reversed(places):
            build.PrependUOffsetTRelative(place)
        return build.EndVector()

    def table(size, **fields):
        build.StartObject(size)
        for slot, (add, value) in fields.items():
            add(int(slot[1:]), value, 0)
        return build.EndObject()

    refer, byte, word = (
        build.PrependUOffsetTRelativeSlot, build.PrependInt8Slot, build.PrependUint32Slot,
    )  # fmt: skip

    def tensor(name, sides, buffer, *, kind=0, signature=None):
        text, vector = build.CreateString(name), numbers(sides)
        free = {} if signature is None else {"f7": (refer, numbers(signature))}
        return table(
            8, f0=(refer, vector), f1=(byte, kind), f2=(word, buffer), f3=(refer, text), **free
        )

    axes = build.CreateByteVector(np.array([1, 2], np.int32).tobytes())
    buffers = references([table(1), table(1, f0=(refer, axes))])
    tensors = references(
        [
            tensor("image", shape, 0, kind=kind, signature=signature),
            tensor("logits", [1, 3], 0),
            tensor("axes", [2], 1, kind=2),
        ]
    )
    options = table(1)
    given, made = numbers([0, 2]), numbers([1])
    mean = table(
        5, f0=(word, 0), f1=(refer, given), f2=(refer, made), f3=(byte, 27), f4=(refer, options)
    )
    operators = references([mean])
    asked, outputs = numbers([0] * inputs), numbers([1])
    graph = references(
        [
            table(
                5,
                f0=(refer, tensors),
                f1=(refer, asked),
                f2=(refer, outputs),
                f3=(refer, operators),
            )
        ]
    )
    code = references([table(4, f0=(byte, 40), f3=(build.PrependInt32Slot, 40))])
    root = table(5, f0=(word, 3), f1=(refer, code), f2=(refer, graph), f4=(refer, buffers))
    build.Finish(root, file_identifier=b"TFL3")
    return bytes(build.Output())
