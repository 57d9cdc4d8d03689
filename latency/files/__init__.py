"""Model files that are measured: ONNX and LiteRT, their one image input and their weights."""
