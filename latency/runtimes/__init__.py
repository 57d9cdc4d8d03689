"""Runtimes: ONNX Runtime and LiteRT here, phones over adb, machines over ssh, the user's program."""
