"""Pipeline transforms that MMDetection does not have, one file each."""
