"""Precomputed proposals, for detectors that classify them (Fast R-CNN)."""
