"""Builds MLflow's entities from the records of the spool, cut to the lengths that MLflow stores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vision_research.tracking.records import DatasetRecord, Metrics

_MAX_FLOAT = 1.7976931348623157e308


def metric_entities(records: Sequence[Metrics]) -> list[Any]:
    """Build one `mlflow.entities.Metric` per value; infinities become the largest float, which databases can store."""
    from mlflow.entities import Metric

    return [
        Metric(key, _finite(value), record.timestamp_ms, record.step)
        for record in records
        for key, value in record.values.items()
    ]


def dataset_entity(dataset: DatasetRecord) -> Any:
    """Build the `mlflow.entities.DatasetInput` of a training's data set."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {"num_train": dataset.num_train, "num_val": dataset.num_val, "classes": list(dataset.classes)}
    source = json.dumps({"uri": dataset.source})
    entity = Dataset(dataset.name, dataset.digest[:36], "local", source, profile=json.dumps(profile))
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def cut_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Cut the values of tags to the length that MLflow stores; a cut value ends in `...`."""
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    return _cut(tags, int(MAX_TAG_VAL_LENGTH))


def cut_params(params: Mapping[str, str]) -> dict[str, str]:
    """Cut the values of params to the length that MLflow stores; a cut value ends in `...`."""
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

    return _cut(params, int(MAX_PARAM_VAL_LENGTH))


def _finite(value: float) -> float:
    is_nan = value != value
    return value if is_nan else min(max(value, -_MAX_FLOAT), _MAX_FLOAT)


def _cut(values: Mapping[str, str], length: int) -> dict[str, str]:
    return {key: value if len(value) <= length else f"{value[: length - 3]}..." for key, value in values.items()}
