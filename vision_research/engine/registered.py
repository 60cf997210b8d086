"""Imports every module of ours that registers something with MMEngine, MMDetection or MMCV.

The one name that a written `config.py` imports (`custom_imports`), so that stock MMDetection tools can run it too.
"""

from __future__ import annotations

import vision_research.datasets.proposal_dataset
import vision_research.datasets.unlabelled_dataset
import vision_research.datasets.voc_dataset
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
import vision_research.engine.look_ahead
import vision_research.engine.loops
import vision_research.engine.source_ratio_sampler
import vision_research.evaluation.coco_metric
import vision_research.evaluation.panoptic_quality
import vision_research.evaluation.video_masks
import vision_research.storage.local_backend
import vision_research.storage.s3.backend
import vision_research.storage.s3.checkpoint_loader
import vision_research.tracking.spool_backend
import vision_research.transforms.class_names
import vision_research.transforms.load_image
import vision_research.transforms.load_panoptic  # noqa: F401
