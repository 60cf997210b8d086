"""Starts child processes; no other package uses `subprocess` or `multiprocessing` for that."""
