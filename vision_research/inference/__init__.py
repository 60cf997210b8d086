"""Runs detectors on images: predictors, image sources, and the evaluation of finished runs."""
