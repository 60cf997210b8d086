"""Predictions on disk: a journal to which images are appended, and the COCO file that is made from it at the end.

If the command is killed, the journal holds every finished image, and at most one incomplete line, which is removed when
the command continues. The COCO file is written in one step, so it is always complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.datasets.coco.annotation_file import AnnotatedImages
from vision_research.work_dir import write_atomic

JOURNAL = "predictions.jsonl"
RESULT = "predictions.json"


class Predictions:
    """The predictions in a folder.

    Args:
        folder: made with the first predictions, so that a detector that cannot be loaded leaves no folder.
        made_by: what the predictions depend on: detector, images, thresholds.

    Raises:
        ConfigError: the folder holds predictions with another `made_by`.
    """

    def __init__(self, folder: Path, made_by: dict[str, Any]) -> None:
        self.result = folder / RESULT
        self._journal = folder / JOURNAL
        self._made_by = made_by
        self.is_complete = self.result.is_file()
        found = self._read_info()
        if found is not None and found != made_by:
            differing = ", ".join(sorted(key for key in made_by if found.get(key) != made_by[key]))
            raise ConfigError(f"out={folder}: it holds predictions with another {differing}. Type another out=FOLDER")
        self.num_done = 0 if found is None or self.is_complete else self._repair_journal()

    def add(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append images: each `file_name` with `width`, `height` and `annotations` (without ids), or with `problem`."""
        if not self.num_done and not self._entries():
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._journal, json.dumps(self._made_by) + "\n")
        lines = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(lines)
        self.num_done += len(entries)

    def finish(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """Write the COCO file, whose category ids count from 1 in label order, and delete the journal.

        Returns the images that could not be read, each with `file_name` and `problem`.
        """
        entries = self._entries()[1:]
        found = AnnotatedImages()
        for number, entry in enumerate((entry for entry in entries if "problem" not in entry), start=1):
            image = {"id": number, **{key: entry[key] for key in ("file_name", "width", "height")}}
            found.add(image, entry["annotations"])
        problems = [entry for entry in entries if "problem" in entry]
        document = {
            "info": self._made_by,
            "images": found.images,
            "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
            "annotations": found.annotations,
            "not_decoded": problems,
        }
        write_atomic(self.result, json.dumps(document) + "\n")
        self._journal.unlink(missing_ok=True)
        return problems

    def _read_info(self) -> dict[str, Any] | None:
        if self.is_complete:
            return dict(json.loads(self.result.read_text(encoding="utf-8")).get("info") or {})
        entries = self._entries()
        return entries[0] if entries else None

    def _repair_journal(self) -> int:
        """Remove an incomplete last line; return the number of images in the journal."""
        whole = self._journal.read_bytes()
        if (end := whole.rfind(b"\n") + 1) < len(whole):
            os.truncate(self._journal, end)
        return len(self._entries()) - 1

    def _entries(self) -> list[dict[str, Any]]:
        if not self._journal.is_file():
            return []
        lines = self._journal.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines]
