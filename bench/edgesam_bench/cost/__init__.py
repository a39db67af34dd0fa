"""What SAM's ViTs cost here in time and memory, beside official PyTorch; imports nothing itself."""
