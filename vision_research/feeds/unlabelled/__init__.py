"""Images without annotations, for semi-supervised detectors (Soft Teacher)."""
