"""A BERT with random weights on disk: what GLIP and GroundingDINO ask Hugging Face's hub for, where there is none.

Sizes and vocabulary are as large as those of `bert-base-uncased`, so that a detector has the shapes of MMDetection's.
Its words are letters and digits, of which any class name can be put together.
"""

from __future__ import annotations

import string
from pathlib import Path

HUB_NAME = "bert-base-uncased"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 30522


def make_bert(folder: Path) -> Path:
    """Write config, vocabulary and weights into a folder, and return it.

    Raises:
        ImportError: transformers is not installed.
    """
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    words += [f"[unused{number}]" for number in range(VOCABULARY - len(words))]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=VOCABULARY)).save_pretrained(folder)
    BertTokenizer(str(vocabulary), do_lower_case=True).save_pretrained(folder)
    return folder
