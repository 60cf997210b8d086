"""What an export is asked to do; crosses to the export's own process as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    Attributes:
        config: the MMEngine config of the detector.
        checkpoint: its weights.
        output: the TorchScript file to write; the manifest lies beside it, with the suffix `.json`.
        shape: height and width of a fixed input size; None follows the test pipeline.
        score_thr: detections score more than this; None keeps the config's.
        verify: whether the artifact is compared with the detector in Python before it is kept.
        num_images: validation images to compare on, besides the black and the crowded one.
        run_id: of the tracked run that the model comes from.
        trust_checkpoint: unpickle a checkpoint that holds more than weights and MMEngine's own records.
    """

    config: Path
    checkpoint: Path
    output: Path
    shape: tuple[int, int] | None = None
    score_thr: float | None = None
    verify: bool = True
    num_images: int = 8
    run_id: str | None = None
    trust_checkpoint: bool = False

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ExportRequest:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for key in ("config", "checkpoint", "output"):
            fields[key] = Path(fields[key])
        if fields["shape"] is not None:
            fields["shape"] = tuple(fields["shape"])
        return cls(**fields)
