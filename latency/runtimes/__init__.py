"""What runs networks: ONNX Runtime and LiteRT here, phones over adb, machines over ssh, a program."""
