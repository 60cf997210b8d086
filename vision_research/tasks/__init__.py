"""The tasks: what is learnt and scored. Each has a folder."""
