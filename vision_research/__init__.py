"""An experiment framework for object detection: Hydra composes, MMEngine trains, MLflow records."""

__version__ = "0.1.0"
