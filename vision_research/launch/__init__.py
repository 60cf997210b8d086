"""Starts ranks: how many, with which command, and how they are stopped."""
