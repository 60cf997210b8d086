"""Data sets: annotation formats, the check of a data set before a training, and the embedded data sets of digits."""
