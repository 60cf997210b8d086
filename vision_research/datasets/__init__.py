"""The embedded default data set, and what is looked at in a data set before anything is trained on it."""
