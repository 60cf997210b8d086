"""What `import mmcv._ext` finds: the functions of mmcv's compiled extension, in plain torch where it is not compiled.

mmcv's wheel without operators, mmcv-lite, holds all of `mmcv.ops` but this extension. `finder` answers the import,
`dispatch` chooses for each call between plain torch, torchvision's kernels and mmcv's compiled functions, and the other
modules hold the plain functions. Their names, arguments and habits (results are written into a buffer of the caller's)
are those of mmcv's `ops/csrc/pytorch/pybind.cpp`.
"""
