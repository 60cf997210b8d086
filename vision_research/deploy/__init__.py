"""Export: a trained detector becomes one TorchScript file that needs nothing but torch.

Imports nothing: the consumer process, which proves that claim, imports this package before its own module.
"""
