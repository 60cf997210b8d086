"""An experiment framework for object detection: Hydra composes, MMEngine trains, MLflow records."""

from vision_research.ops.mmcv_ext import finder as _finder

__version__ = "0.1.0"

# Before anything imports mmcv's operators.
_finder.install()
