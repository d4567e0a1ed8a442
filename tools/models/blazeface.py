#!/usr/bin/env -S python3 -B
"""Writes the weights of the face detector as `crates/vision` reads them: `blazeface.py MODEL.tflite OUT.f16`.

The model is `face_detection_short_range.tflite` of the npm package @mediapipe/face_detection (Apache-2.0); the reader is
`pip install tflite`. Numbers are copied as they are: those of each convolution in the order of the graph, weights and then what
is added, little-endian halves."""

import sys

import tflite

CONVOLUTIONS = {tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D}
WIDENS = tflite.BuiltinOperator.DEQUANTIZE


def weights(path: str) -> bytes:
    with open(path, "rb") as file:
        model = tflite.Model.GetRootAsModel(file.read(), 0)
    graph = model.Subgraphs(0)
    narrow, found = {}, b""
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind == WIDENS:
            narrow[operator.Outputs(0)] = operator.Inputs(0)
        elif kind in CONVOLUTIONS:
            for place in (1, 2):
                tensor = graph.Tensors(narrow[operator.Inputs(place)])
                assert tensor.Type() == tflite.TensorType.FLOAT16
                found += model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
    return found


if __name__ == "__main__":
    model, out = sys.argv[1:]
    with open(out, "wb") as file:
        file.write(weights(model))
