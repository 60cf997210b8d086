"""Makes the exported module of a detector: preprocessing, network and decoding joined in one module."""
