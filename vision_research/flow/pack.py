"""The `pack` command's flow: read what the annotation files name, write shards, say what to type next."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute, is_s3, join
from vision_research.config.command_schema import PackCommand
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.storage import s3_settings
from vision_research.config.schema import DataConfig, DataKind
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.pack_writer import PackWriter
from vision_research.storage.s3.path import as_path
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import upload_bytes
from vision_research.storage.s3.uri import S3Uri


def pack(words: PackCommand) -> None:
    """Pack a data set in the COCO format.

    Raises:
        ConfigError: it is no such data set, or an image of it is not there.
        S3Error: it may not be written there, or the server was away for too long.
    """
    _refuse(words)
    settings = S3Settings(**s3_settings(words.storage))
    begin_run(settings)
    root, out = absolute(words.data.root), S3Uri.parse(words.out)
    documents = {ann: _read_file(ann, root) for ann in _annotation_files(words.data)}
    names = list(dict.fromkeys(_image_names(words.data, documents)))
    with tempfile.TemporaryDirectory(prefix="vision_research-pack-") as scratch:
        writer = PackWriter(out, settings, words.shard_mb * 1_000_000, Path(scratch))
        num_shards = writer.write(names, lambda name: _read_file(name, root))
    for ann, content in documents.items():
        upload_bytes(content, out.child(ann), settings)
    print(f"{len(names)} images in {num_shards} shards. Train on them: data.root={out} storage=s3 storage.packed=true")


def _refuse(words: PackCommand) -> None:
    problems = []
    if not is_s3(words.out):
        problems.append(f"out={words.out}: is a folder in S3. Type out=s3://BUCKET/KEY")
    if words.data.kind is DataKind.voc:
        problems.append("data=voc: only COCO annotations are packed. Convert it, and type data=coco")
    if words.storage.packed:
        problems.append("storage.packed=true: is packed already. Type storage.packed=false and the original data.root")
    if words.shard_mb < 1:
        problems.append(f"shard_mb={words.shard_mb}: has to be 1 or more")
    typed = [*_annotation_files(words.data), *_prefixes(words.data).values()]
    problems += [
        f"{address}: a pack holds what lies in data.root={words.data.root}. Type it relative to that"
        for address in typed
        if is_s3(address) or Path(address).is_absolute()
    ]
    if problems:
        raise ConfigError(problems)


def _annotation_files(data: DataConfig) -> list[str]:
    files = (data.train_ann, data.val_ann, data.test_ann, data.unlabelled_ann)
    return list(dict.fromkeys(ann for ann in files if ann is not None))


def _prefixes(data: DataConfig) -> dict[str, str]:
    splits = ("train", "val", "test", "unlabelled")
    own: dict[str, str | None] = {split: getattr(data, f"{split}_prefix") for split in splits}
    return {split: data.img_prefix if prefix is None else prefix for split, prefix in own.items()}


def _image_names(data: DataConfig, documents: dict[str, bytes]) -> Iterator[str]:
    for split, prefix in _prefixes(data).items():
        ann = getattr(data, f"{split}_ann")
        if ann is None:
            continue
        try:
            images: list[dict[str, Any]] = json.loads(documents[ann])["images"]
            yield from (str(Path(prefix, image["file_name"])) for image in images)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"data.{split}_ann={ann}: is no COCO file ({error})") from error


def _read_file(name: str, root: str) -> bytes:
    try:
        return as_path(join(root, name)).read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"data.root={root}: there is no {name}. Pack the folder that holds it") from error
