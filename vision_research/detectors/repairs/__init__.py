"""Repairs of heads that fail in MMDetection 3.3: a module each, with one function `repair(detector)`."""
