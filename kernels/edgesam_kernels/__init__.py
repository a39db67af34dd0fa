"""Pixels in, pixels out: resizing and normalising, in NumPy. Knows nothing of models or prompts."""
