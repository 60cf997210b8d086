"""Panoptic segmentation: every pixel belongs to a thing or to stuff."""
