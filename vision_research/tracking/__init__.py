"""Records a training run in MLflow without MLflow ever touching the training.

Ranks append to a spool on disk (`spool`, `spool_backend`); the command owning the run delivers it (`run`, `delivery`).
Only `client`, `connection` and `store_errors` import mlflow, and only when something is to be sent.
"""
