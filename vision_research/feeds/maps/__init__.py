"""Panoptic maps, for panoptic detectors and semantic branches."""
