"""Calibrates the convolutions of an OpenVINO model to int8 on validation images; everything else stays in float."""

from __future__ import annotations

import logging
from typing import Any

from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.quiet_calibration import quiet_calibration


def quantize_openvino(job: Job, model: Any) -> Any:
    """Quantize the convolutions of an OpenVINO model.

    Args:
        job: gives the images to calibrate on.
        model: an `openvino.Model`.

    Returns:
        The quantized model.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    kinds = {node.get_type_name() for node in model.get_ops()}
    left = sorted(kinds - {"Convolution", "GroupConvolution", "Constant", "Parameter", "Result"})
    with quiet_calibration():
        return nncf.quantize(
            model,
            nncf.Dataset(list(job.images), lambda image: job.inputs_for(image).numpy()),
            subset_size=len(job.images),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=left, validate=False),
        )
