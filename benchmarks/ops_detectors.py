"""Detectors with operators in plain torch, over the same detectors with mmcv's compiled operators.

    python benchmarks/ops_detectors.py [--only NAME ...] [--again]

Every type of detector that takes a step here, and every curated detector: losses and derivatives of the first step,
detections of the same weights, seconds an iteration and memory, in turn in one process, on one thread and on two. Needs
mmcv's compiled operators (`nox -s tests_compiled` installs them). Goes on where it was; the results are in
benchmarks/results/ops/detectors.json, from which ops_table.py writes docs/ops.md.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import zoo_learning
from ops import peak_memory

RESULT = Path(__file__).parent / "results" / "ops" / "detectors.json"
CURATED = Path(__file__).parents[1] / "conf" / "model"
LIMIT_S = 900
# After the first one; large detectors take the fewer, so that all are measured in two hours.
NUM_STEPS = 5
MIN_STEPS = 2
ENOUGH_S = 40.0
CHOICES = ("plain", "compiled")


def main() -> int:
    """Measure all that is not in the results yet, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--again", action="store_true", help="measure what is in the results too")
    parser.add_argument("--measure", metavar="NAME", help="one, in this process")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    for name in options.only or names():
        results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
        if name not in results or options.again:
            outcome = zoo_learning.in_a_process(__file__, LIMIT_S, name)
            print(name, outcome, flush=True)
            RESULT.parent.mkdir(parents=True, exist_ok=True)
            RESULT.write_text(json.dumps(dict(sorted({**results, name: outcome}.items())), indent=1) + "\n")
    return 0


def names() -> list[str]:
    """The curated detectors, and a zoo config for each type that takes a step."""
    learning = json.loads(zoo_learning.RESULT.read_text())
    types = [f"{kind}:{entry['config']}" for kind, entry in learning.items() if "loss" in entry]
    return [*sorted(path.stem for path in CURATED.glob("*.yaml")), *types]


def measure(name: str) -> dict[str, Any]:
    """Compare one detector's steps and detections, or say `why` not."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    kind, _, config = name.rpartition(":")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        words = (
            zoo_learning.words_of(kind, config, folder)
            if kind
            else [
                f"model={name}",
                *zoo_learning.WORDS,
                "image_size=[320,320]",
                "data.limit_train=8",
                "data.limit_val=2",
            ]
        )
        return compare(zoo_learning.lowered_of(words, folder))


def compare(lowered: dict[str, Any]) -> dict[str, Any]:
    """Train the same detector twice in turn, with both kinds of operators, and detect with the same weights."""
    import torch
    from mmengine.config import Config

    from vision_research.engine.jobs import WorkDirRunner

    torch.set_num_threads(1)
    torch.manual_seed(0)
    lowered["custom_hooks"] = []
    runner = WorkDirRunner.from_cfg(Config(lowered))
    loader, val_loader = runner.build_dataloader(lowered["train_dataloader"]), runner.val_dataloader
    runner.model.init_weights()
    # What a hook sets before a training, and TOOD reads.
    runner.message_hub.update_info("epoch", 0)
    # The sampler of a training by iterations has no end.
    batches = list(itertools.islice(loader, NUM_STEPS))
    models = {choice: copy.deepcopy(runner.model).train() for choice in CHOICES}
    memory = {choice: peak_memory(lambda: _one_step(runner.model, batches[0]), choice) for choice in CHOICES}
    seconds, first = _train(models, batches)
    torch.set_num_threads(1)
    losses = [first[choice][0] for choice in CHOICES]
    plain, compiled = (first[choice][1] for choice in CHOICES)
    difference = _relative(plain, compiled)
    return {
        "loss": round(losses[1], 6),
        "loss_difference": abs(losses[0] - losses[1]) / max(abs(losses[1]), 1e-12),
        "gradient_difference": difference,
        # Where the gradient itself jumps, as at the kinks of ReLU, the compiled operators differ from themselves too.
        **({"gradient_noise": _noise(runner.model, batches[0], compiled)} if difference > 1e-3 else {}),
        **_detections(models["plain"], next(iter(val_loader))),
        "step_s": {key: round(median(values["compiled"]), 4) for key, values in seconds.items()},
        "ratio": {key: round(_ratio(values), 3) for key, values in seconds.items()},
        "memory_mb": {choice: round(value) for choice, value in memory.items()},
    }


def _relative(grads: list[Any], others: list[Any]) -> float:
    """The norm of the difference of two gradients, over the norm of the second."""
    import torch

    one, other = (torch.cat([grad.flatten() for grad in each]).double() for each in (grads, others))
    return float((one - other).norm() / other.norm().clamp(min=1e-12))


def _noise(model: Any, batch: Any, compiled: list[Any]) -> float:
    """Compare the compiled operators with themselves, after weights were changed by 1e-7 of their size."""
    import torch

    from vision_research.ops.mmcv_ext.choice import select

    select("compiled")
    torch.manual_seed(1)
    model.train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-7 * torch.randn_like(parameter))
    _step(model, torch.optim.SGD(model.parameters(), lr=0.0), copy.deepcopy(batch), 0)
    return _relative([p.grad for p in model.parameters() if p.grad is not None], compiled)


def _train(models: dict[str, Any], batches: list[Any]) -> tuple[dict[str, dict[str, list[float]]], dict[str, Any]]:
    """Take every step with both in turn: seconds by threads and operators, and losses and gradients of the first."""
    import torch

    from vision_research.ops.mmcv_ext.choice import select

    optimizers = {
        choice: torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4)
        for choice, model in models.items()
    }
    seconds: dict[str, dict[str, list[float]]] = {key: {choice: [] for choice in CHOICES} for key in ("1", "2")}
    first: dict[str, Any] = {}
    for threads in ("1", "2"):
        torch.set_num_threads(int(threads))
        begun = time.perf_counter()
        for number, batch in enumerate(batches):
            if number > MIN_STEPS and time.perf_counter() - begun > ENOUGH_S:
                break
            for choice in CHOICES if number % 2 else CHOICES[::-1]:
                select(choice)
                loss, taken = _step(models[choice], optimizers[choice], copy.deepcopy(batch), number)
                # The first iteration warms up.
                if number:
                    seconds[threads][choice].append(taken)
                if threads == "1" and number == 0:
                    grads = [p.grad for p in models[choice].parameters() if p.grad is not None]
                    first[choice] = (loss, [grad.clone() for grad in grads])
    return seconds, first


def _ratio(seconds: dict[str, list[float]]) -> float:
    """The median of the ratios of neighbouring iterations: a load of the machine meets both."""
    return median(plain / compiled for plain, compiled in zip(seconds["plain"], seconds["compiled"], strict=True))


def _step(model: Any, optimizer: Any, batch: Any, seed: int) -> tuple[float, float]:
    import torch

    torch.manual_seed(seed)
    optimizer.zero_grad()
    begun = time.perf_counter()
    data = model.data_preprocessor(batch, True)
    losses = model._run_forward(data, mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 35.0)
    optimizer.step()
    return float(loss), time.perf_counter() - begun


def _one_step(model: Any, batch: Any) -> None:
    import torch

    _step(model.train(), torch.optim.SGD(model.parameters(), lr=0.0), copy.deepcopy(batch), 0)


def _detections(model: Any, batch: Any) -> dict[str, Any]:
    """Detect with the same weights, and count what the compiled operators find and the plain ones do not.

    Where fewer than ten detections have a score above 0.05, as with untrained weights, all are compared.
    """
    import torch

    from vision_research.ops.mmcv_ext.choice import select

    model.eval()
    found = {}
    for choice in CHOICES:
        select(choice)
        torch.manual_seed(0)
        with torch.no_grad():
            samples = model.test_step(copy.deepcopy(batch))
        found[choice] = [sample.pred_instances for sample in samples if "pred_instances" in sample]
    if not found["plain"] or "bboxes" not in found["plain"][0]:
        return {"detections": None}
    count = sum(int((one.scores > 0.05).sum()) for one in found["compiled"])
    least = 0.05 if count >= 10 else -1.0
    missing, moved = 0, 0.0
    for plain, compiled in zip(found["plain"], found["compiled"], strict=True):
        for index in torch.nonzero(compiled.scores > least).view(-1):
            far = (plain.bboxes - compiled.bboxes[index]).abs().amax(1)
            far[plain.labels != compiled.labels[index]] = float("inf")
            nearest = float(far.min()) if len(far) else float("inf")
            missing += nearest > 0.05
            moved = max(moved, nearest) if nearest <= 0.05 else moved
    total = sum(int((one.scores > least).sum()) for one in found["compiled"])
    return {"detections": total, "not_found": missing, "moved_px": moved}


if __name__ == "__main__":
    sys.exit(main())
