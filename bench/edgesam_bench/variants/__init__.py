"""A variant beside fp32 of its own bundle, on anybody's pictures. Knows no graph."""
