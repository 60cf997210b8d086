"""An experiment framework for object detection: Hydra composes, MMEngine runs, MLflow remembers."""

__version__ = "0.1.0"
