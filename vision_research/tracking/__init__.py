"""Records runs in MLflow; no process of a training waits for an MLflow server (README.md in this folder).

Ranks append to a spool on disk (`spool`, `spool_backend`). The command that owns the run sends the spool to the store
(`run`, `delivery`). MLflow is imported inside functions, and only when something is sent or read.
"""
