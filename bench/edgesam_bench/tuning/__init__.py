"""Which engine, variant and number of threads is fastest here, for ``edgesam tune``."""
