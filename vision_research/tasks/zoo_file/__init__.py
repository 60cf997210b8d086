"""Runs with the data sets, loaders and evaluators of a zoo file."""
