"""Variants in 16 bits: float16 written into a graph, bfloat16 as data for an engine."""
