"""TensorRT on an NVIDIA GPU, classic 10 and 11 or TensorRT-RTX."""
