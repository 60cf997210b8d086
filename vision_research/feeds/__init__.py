"""The feeds: inputs of a detector beside the images and objects of its task. Each has a folder."""
