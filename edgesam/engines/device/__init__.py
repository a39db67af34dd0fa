"""What both engines on a CUDA device share: graphs, masks and pictures there. Knows no library."""
