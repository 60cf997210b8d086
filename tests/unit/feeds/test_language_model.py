"""A language model is read before anything is trained, and has to read the names of all classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vision_research.checks.preflight import preflight
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.feeds.class_names.feed import ClassNames
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

GLIP = "zoo/glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco"
DRAWN = "zoo/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365"
DINO = "zoo/grounding_dino/grounding_dino_r50_scratch_8xb2_1x_coco"
CLASSES = tuple("0123456789")
Lower = Callable[..., dict[str, Any]]


@pytest.fixture
def lowered(typed: Callable[..., TrainConfig], few_digits: Path, tmp_path: Path) -> Lower:
    def build(*words: str, classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
        config = typed(f"data.root={few_digits}", "data.kind=coco", "image_size=[320,320]", *words)
        return lower(specify(config), LoweringInputs(tmp_path, classes, num_train=12))

    return build


def detector(limit: int) -> Any:
    """A detector whose language model takes every letter for a word, and one before and behind them."""

    def tokenizer(texts: list[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[0, *map(ord, text), 0] for text in texts]}

    return SimpleNamespace(language_model=SimpleNamespace(max_tokens=limit, tokenizer=tokenizer))


def test_names_that_fit_are_no_problem(lowered: Lower) -> None:
    # Ten digits, each with a stop and a blank behind it.
    assert list(ClassNames().unfit(detector(32), lowered(f"model={GLIP}", "aug=none"))) == []


def test_names_that_are_cut_off_are_told_with_what_to_type(lowered: Lower) -> None:
    trained, found = ClassNames().unfit(detector(31), lowered(f"model={GLIP}", "aug=none"))
    assert trained.startswith(
        "data.classes: the 10 names are 32 tokens of the language model as one text, and it reads 31"
    )
    assert "data.classes=[...]" in trained
    assert DRAWN in trained
    assert found.endswith("Type +model.test_cfg.chunked_size=40 data.val_batch_size=1 to ask for 40 at a time")


def test_names_are_measured_as_mmdetection_joins_them(lowered: Lower) -> None:
    tree = lowered(f"model={GLIP}", "aug=none", classes=("bat_(animal)", "zebra"))
    # "bat . zebra. "
    assert list(ClassNames().unfit(detector(15), tree)) == []
    assert len(list(ClassNames().unfit(detector(14), tree))) == 2


@pytest.mark.slow
def test_drawn_and_asked_for_in_parts_any_number_of_names_fits(lowered: Lower) -> None:
    words = (f"model={DINO}", f"aug={DRAWN}", "+model.test_cfg.chunked_size=4")
    assert list(ClassNames().unfit(detector(4), lowered(*words, "data.val_batch_size=1"))) == []
    (problem,) = ClassNames().unfit(detector(4), lowered(*words, "data.val_batch_size=2"))
    assert problem.endswith("Type data.val_batch_size=1")


def test_other_detectors_read_no_names(lowered: Lower) -> None:
    assert list(ClassNames().unfit(SimpleNamespace(), lowered("model=rtmdet_tiny"))) == []


def test_a_language_model_that_is_nowhere_is_named(lowered: Lower) -> None:
    model = lowered(f"model={GLIP}", "aug=none")["model"]
    (problem,) = ClassNames().explain_build(model, OSError("We couldn't connect to the hub\nand more"), "")
    assert problem.startswith(
        "model.language_model.name=bert-base-uncased: it could not be read (We couldn't connect to the hub). "
    )
    assert "model.language_model.name=FOLDER" in problem
    (problem,) = ClassNames().explain_build(model, TypeError("no vocabulary"), " (while building BertModel)")
    assert "could not be read (no vocabulary)" in problem
    assert ClassNames().explain_build(model, ValueError("another"), " (while building FPN)") == []
    assert ClassNames().explain_build({"type": "RTMDet"}, OSError("a file"), "") == []


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT on disk, which knows letters and digits."""
    import transformers

    folder = tmp_path_factory.mktemp("bert")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789."
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def small(model: str, bert: Path) -> list[str]:
    words = [f"model={model}", f"model.language_model.name={bert}", "model.weights=none", "data.batch_size=2"]
    if model == DINO:
        words += ["model.encoder.num_cp=0", "model.encoder.num_layers=1", "model.decoder.num_layers=1"]
    return words


@pytest.mark.extras("transformers", "fairscale")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "aug"),
    [(GLIP, "flip"), (GLIP, GLIP), (DINO, "mosaic_mixup"), (DINO, DINO), (DINO, DRAWN)],
)
def test_a_detector_that_reads_names_learns_from_our_data(lowered: Lower, bert: Path, model: str, aug: str) -> None:
    import torch
    from mmdet.registry import DATASETS, MODELS
    from mmengine.config import ConfigDict
    from mmengine.dataset import pseudo_collate

    tree = lowered(*small(model, bert), f"aug={aug}", "schedule=1x")
    preflight(tree)
    torch.manual_seed(0)
    built = MODELS.build(ConfigDict(tree["model"]))
    # Until then the level embeddings are memory as it was found, which may hold anything.
    built.init_weights()
    train = DATASETS.build(ConfigDict(tree["train_dataloader"]["dataset"]))
    losses = built(**built.data_preprocessor(pseudo_collate([train[0], train[1]]), True), mode="loss")
    total, _ = built.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    # The names reach the loss: what embeds them learns.
    assert built.language_model.language_backbone.body.model.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    val = DATASETS.build(ConfigDict(tree["val_dataloader"]["dataset"]))
    built.eval()
    with torch.no_grad():
        (found,) = built(**built.data_preprocessor(pseudo_collate([val[0]]), False), mode="predict")
    assert set(found.pred_instances.labels.tolist()) <= set(range(len(CLASSES)))


@pytest.mark.extras("transformers")
def test_a_folder_without_a_bert_is_refused_by_name(lowered: Lower, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"^model\.language_model\.name=.*empty: it could not be read"):
        preflight(lowered(f"model={GLIP}", f"model.language_model.name={empty}", "aug=none"))
