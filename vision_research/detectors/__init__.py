"""MMDetection's detectors: building and repairing them, and downloading and loading weights."""
