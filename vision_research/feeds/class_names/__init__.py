"""The names of the classes as text input (GLIP, GroundingDINO)."""
