"""What runs inside a training process: preflight, tasks, loops and hooks. Knows nothing of Hydra or MLflow."""
