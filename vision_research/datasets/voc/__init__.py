"""Pascal VOC: the check of a folder, and the data set that reads it."""
