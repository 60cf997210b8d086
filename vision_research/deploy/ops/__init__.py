"""Image and box operations in plain torch, written in the subset that `torch.jit.script` compiles."""
