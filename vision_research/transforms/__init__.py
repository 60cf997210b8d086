"""Pipeline transforms that MMDetection lacks, one file each."""
