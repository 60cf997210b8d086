"""Detection: boxes of classes, with or without masks."""
