"""Checks before a run starts: the machine, the installed packages, the configuration, the data, the lowered config."""
