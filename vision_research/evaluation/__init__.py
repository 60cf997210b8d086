"""Metrics over detections and ground truth."""
