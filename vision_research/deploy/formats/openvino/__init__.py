"""OpenVINO models: their entry, how they are written and how they are run."""
