"""Prints the summary of a run at the end of the `train` command."""

from __future__ import annotations

from vision_research.flow.prepare import PreparedRun
from vision_research.flow.record import Recorder
from vision_research.launch.outcome import Outcome

SHOWN = ("coco/bbox_mAP", "coco/bbox_mAP_50", "coco/bbox_mAP_75", "coco/segm_mAP")


def print_summary(run: PreparedRun, outcome: Outcome, recorder: Recorder) -> None:
    """Print status, scores and files of a run.

    Args:
        run: the run.
        outcome: how it ended.
        recorder: of its MLflow run.
    """
    lines = [("status", outcome.status + (f" ({outcome.cause})" if outcome.cause else ""))]
    lines += [(name, f"{value:.4f}") for name, value in outcome.metrics.items() if name in SHOWN]
    if outcome.best:
        best = f"{outcome.best_value:.4f} at epoch {outcome.best['epoch']}, iteration {outcome.best['iteration']}"
        lines.append((f"best {run.config.schedule.monitor}", best))
    lines.append(("work_dir", str(run.work_dir.root)))
    if run.work_dir.s3_folder.is_file():
        lines.append(("copy in S3", run.work_dir.s3_folder.read_text(encoding="utf-8").strip()))
    if outcome.model is not None:
        lines.append(("artifact", str(outcome.model)))
    if recorder.how_to_open:
        lines.append(("open the run", recorder.how_to_open))
    if outcome.status != "FINISHED" and outcome.last:
        lines.append(("go on", f"python -m vision_research.train resume={run.work_dir.root}"))
    width = max(len(name) for name, _ in lines)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in lines), flush=True)
