"""What edgesam costs beside a bare ONNX Runtime script doing the same work."""
