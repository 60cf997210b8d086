"""Writes a TensorRT engine, built from ONNX. Needs the `tensorrt` package and a GPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.onnx.writer import write_float


def write(job: Job, path: Path) -> None:
    """Write the engine, for the GPU of this machine.

    Args:
        job: what to write.
        path: the file.

    Raises:
        ExportError: the detector cannot be written as ONNX, or TensorRT refuses the graph; the message holds its
            reasons.
    """
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "model.onnx")
        write_float(job, graph)
        if not parser.parse(graph.read_bytes()):
            reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise ExportError(f"TensorRT refuses the graph: {reasons}. Type export=onnx.")
    engine = builder.build_serialized_network(network, _settings(trt, builder, job))
    if engine is None:
        raise ExportError("TensorRT cannot build the engine; its log above says why. Type export=onnx.")
    path.write_bytes(bytes(engine))


def _settings(trt: Any, builder: Any, job: Job) -> Any:
    """The builder's settings: precision, and the input sizes that the engine is tuned for."""
    settings = builder.create_builder_config()
    if job.precision == "fp16":
        settings.set_flag(trt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    profile.set_shape(job.input_name, *_sizes(job))
    settings.add_optimization_profile(profile)
    return settings


def _sizes(job: Job) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Smallest, typical and largest shape of the input."""
    typical = tuple(job.inputs_for(job.images[0]).shape)
    if job.form.preprocess:
        around = typical[:-3]
        return (*around, 32, 32, 3), typical, (*around, 4096, 4096, 3)
    smallest, largest = job.spec.tensor_bounds
    return (*typical[:2], *smallest), typical, (*typical[:2], *largest)
