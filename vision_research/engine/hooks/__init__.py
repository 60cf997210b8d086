"""MMEngine hooks, one file each; importing the file registers its hook."""
