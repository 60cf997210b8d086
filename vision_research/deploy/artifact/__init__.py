"""A saved artifact: its manifest, and running it in this process."""
