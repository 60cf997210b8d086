"""Putting a checkpoint into a detector."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vision_research.detectors.weights import WeightsError, load_weights


def detector() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def weights(value: float, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + key: torch.full_like(tensor, value) for key, tensor in detector().state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_all_weights_are_loaded(prefix: str) -> None:
    model = detector()

    load_weights(model, {"state_dict": weights(2, prefix)}, ["a"], "best.pth")

    assert all(bool((tensor == 2).all()) for tensor in model.state_dict().values())


def test_the_averaged_weights_are_loaded_where_ema_was_on() -> None:
    # MMEngine's EMAHook swaps before it saves: `state_dict` is the average, `ema_state_dict` the raw weights.
    checkpoint = {"state_dict": weights(2), "ema_state_dict": {"steps": torch.tensor(1), **weights(7, "module.")}}
    model = detector()

    load_weights(model, checkpoint, ["a"], "best.pth")

    assert float(model[0].weight[0, 0]) == 2  # type: ignore[index]


def test_every_kind_of_misfit_is_named_at_once() -> None:
    wrong = weights(1)
    wrong["0.weight"] = torch.zeros(5, 2)
    wrong["2.bias"] = wrong.pop("1.bias")

    with pytest.raises(WeightsError) as error:
        load_weights(detector(), {"state_dict": wrong}, ["a"], "best.pth")

    assert "best.pth is not a checkpoint of the config's Sequential" in str(error.value)
    for part in ("it lacks 1.bias", "it has besides 2.bias", "of another shape are 0.weight (5x2 instead of 3x2)"):
        assert part in str(error.value)


def test_other_classes_are_refused_and_the_same_are_not() -> None:
    checkpoint = {"state_dict": weights(1), "meta": {"dataset_meta": {"classes": ("cat", "dog")}}}

    load_weights(detector(), checkpoint, ["cat", "dog"], "best.pth")
    with pytest.raises(WeightsError, match="trained on the classes cat, dog, but the config's data set has dog, cat"):
        load_weights(detector(), checkpoint, ["dog", "cat"], "best.pth")
