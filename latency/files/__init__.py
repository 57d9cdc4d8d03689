"""ONNX and LiteRT files to measure: their image input and their weights."""
