"""Runs a TensorRT engine on the GPU; needs tensorrt and torch, whose tensors hold the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt
import torch
from numpy.typing import NDArray


class Runner:
    """A loaded engine; `num_threads` is not used, because a GPU computes."""

    def __init__(self, path: str, num_threads: int | None = None) -> None:
        logger = trt.Logger(trt.Logger.ERROR)
        self.engine = trt.Runtime(logger).deserialize_cuda_engine(Path(path).read_bytes())
        if self.engine is None:
            raise ValueError("TensorRT does not read it: it was made by another version, for another GPU, or is broken")
        self.context = self.engine.create_execution_context()
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        is_input = [self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
        self.input_name = next(name for name, given in zip(names, is_input, strict=True) if given)
        self.output_names = [name for name, given in zip(names, is_input, strict=True) if not given]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Give the outputs, in their order, for the one input."""
        (value,) = inputs.values()
        given = torch.from_numpy(np.ascontiguousarray(value)).cuda()
        self.context.set_input_shape(self.input_name, tuple(given.shape))
        self.context.set_tensor_address(self.input_name, given.data_ptr())
        outputs = {name: _Output(self.engine, name) for name in self.output_names}
        for name, output in outputs.items():
            self.context.set_output_allocator(name, output.allocator)
        stream = torch.cuda.current_stream()
        self.context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [outputs[name].array() for name in self.output_names]


class _Output:
    """An output whose size is not known before it is computed."""

    def __init__(self, engine: Any, name: str) -> None:
        self.dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        self.shape: tuple[int, ...] = ()
        self.memory = torch.empty(0, dtype=torch.uint8, device="cuda")
        owner = self

        class Allocator(trt.IOutputAllocator):
            def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
                owner.memory = torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")
                return owner.memory.data_ptr()

            def notify_shape(self, tensor_name: str, shape: Any) -> None:
                owner.shape = tuple(shape)

        self.allocator = Allocator()

    def array(self) -> NDArray[np.generic]:
        """The output in the host's memory."""
        count = int(np.prod(self.shape)) * self.dtype.itemsize
        found: NDArray[np.generic] = self.memory[:count].cpu().numpy().view(self.dtype).reshape(self.shape)
        return found
