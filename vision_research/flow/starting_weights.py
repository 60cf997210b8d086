"""Downloads the initial weights of a training before the ranks start."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import RUNS_SCHEME, is_s3
from vision_research.config.schema import TrainConfig
from vision_research.flow.source import best_checkpoint, downloaded_run
from vision_research.lowering.model import pretrained_parts


def fetch_weights(config: TrainConfig, mmengine: dict[str, Any]) -> None:
    """Download the weights of `model.weights`, and write their paths into the lowered config.

    Args:
        config: the run.
        mmengine: the lowered config, changed in place: `load_from` and the `Pretrained` parts of the model become files
            or addresses that MMEngine can read.

    Raises:
        ConfigError: there is no such run in MLflow.
        EnvironmentProblem: a file is missing or cannot be downloaded.
    """
    from vision_research.detectors.pretrained import ensure_pretrained, ensure_weights

    typed = f"model.weights={config.model.get('weights')}"
    whole = mmengine["load_from"]
    if whole is not None and whole.startswith(RUNS_SCHEME):
        work_dir = downloaded_run(whole, config.tracking, config.storage)
        mmengine["load_from"] = str(best_checkpoint(work_dir, whole)[0])
    elif whole is not None:
        file = ensure_weights(whole, typed)
        # MMEngine reads addresses in S3 by our back end.
        mmengine["load_from"] = whole if is_s3(whole) else str(file)
    if (teacher := mmengine["model"].get("teacher_ckpt")) is not None:
        # The teacher is another detector than the trained one, so `model.weights` does not concern it.
        file = ensure_weights(teacher, "model.teacher_ckpt", without="model.teacher_ckpt=null")
        mmengine["model"]["teacher_ckpt"] = teacher if is_s3(teacher) else str(file)
    for init_cfg in pretrained_parts(mmengine["model"]):
        # For `torchvision://` MMEngine itself would import torchvision in every rank.
        init_cfg["checkpoint"] = ensure_pretrained(init_cfg["checkpoint"], typed)
