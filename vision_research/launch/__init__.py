"""Starts the ranks of a run, and stops them (README.md in this folder)."""
