"""Networks as files for other programs (ONNX, LiteRT, int8), and running such files."""
