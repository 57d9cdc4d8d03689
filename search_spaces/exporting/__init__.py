"""Networks as files for other runtimes: ONNX and LiteRT, with normalized images or pixels as input."""
