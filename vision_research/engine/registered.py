"""Imports every module of this package that registers something with MMEngine, MMDetection or MMCV.

A written `config.py` imports this module (`custom_imports`), so that MMDetection's own tools can run it too.
"""

from __future__ import annotations

from importlib import import_module

import vision_research.engine.bf16_optim_wrapper
import vision_research.engine.hooks.activation_checkpointing
import vision_research.engine.hooks.channels_last
import vision_research.engine.hooks.compile_parts
import vision_research.engine.hooks.early_stopping
import vision_research.engine.hooks.finite_loss
import vision_research.engine.hooks.graceful_stop
import vision_research.engine.hooks.l1_loss
import vision_research.engine.hooks.pipeline_stage
import vision_research.engine.hooks.progress
import vision_research.engine.hooks.throughput
import vision_research.engine.loops
import vision_research.engine.prefetch_sampler
import vision_research.storage.local_backend
import vision_research.storage.s3.backend
import vision_research.storage.s3.checkpoint_loader
import vision_research.tracking.spool_backend  # noqa: F401
from vision_research.registry import PARTS

for _part in PARTS:
    for _module in _part.modules:
        import_module(_module)
