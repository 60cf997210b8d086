"""What a rank runs: jobs, loops, samplers, hooks and how they end. Knows nothing of Hydra or MLflow."""
