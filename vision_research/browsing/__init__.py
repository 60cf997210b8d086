"""Traces and draws single samples of a data set after its pipeline, for the `browse` command."""
