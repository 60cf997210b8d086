"""Re-identification: finds crops of the same object."""
