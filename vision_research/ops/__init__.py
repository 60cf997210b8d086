"""Image and box operations in plain torch; most are written for `torch.jit.script`."""
