"""ONNX Runtime, on the CPU or on CUDA."""
