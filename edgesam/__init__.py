"""edgesam: Segment Anything on medical images, where they are made."""

__version__ = "0.1.0"
