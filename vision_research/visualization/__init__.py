"""Draws: curves of a threshold search, detections in images."""
