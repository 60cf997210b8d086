"""Compares a saved artifact with the detector in Python. Imports nothing: the consumer process imports this package."""
