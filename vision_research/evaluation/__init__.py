"""Metrics that compare detections with ground truth."""
