"""Where a model's weights are: on this machine, or downloaded once.

Imports open_clip inside its functions, when a model is really needed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from common.clip.model import LOCAL, Model
from common.errors import UserError

NETWORK_TIMEOUT_SECONDS = 10  # to find out whether a host can be reached


def tag_config(model: Model) -> dict[str, Any]:
    """What open_clip knows of the model's tag. Raises UserError if there is no such tag."""
    import open_clip

    config = open_clip.get_pretrained_cfg(model.source, str(model.tag))
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model.source)) or "none"
        raise UserError(
            f"--pretrained {model.weights}: no such weights for {model.source} (there are: {tags})"
        )
    return dict(config)


def find_weights_file(model: Model, for_scores: bool) -> str | None:
    """The file with the model's weights, downloaded if need be; None if open_clip finds it itself.

    Raises UserError within seconds if there is no network, naming the file and where to put it, and
    what works without: that differs for scores and for the search.
    """
    if model.source.startswith(LOCAL) or model.file:
        return model.file
    import open_clip

    config = tag_config(model)
    repository, _, name = config.get("hf_hub", "").rpartition("/")
    if repository:
        names = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        return _download_from_hub(model, repository, [name] if name else names, for_scores)
    cached = os.path.join("~/.cache/clip", os.path.basename(config["url"]))
    cached = os.path.expanduser(cached)
    if not os.path.isfile(cached) and not is_reachable(config["url"]):
        raise UserError(_offline_message(model, config["url"], f"put it at {cached}", for_scores))
    return str(open_clip.download_pretrained(config))


def _download_from_hub(
    model: Model, repository: str, names: Sequence[str], for_scores: bool
) -> str:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    for name in names:
        with contextlib.suppress(OSError, ValueError):
            return str(hf_hub_download(repository, name, local_files_only=True))
    address = f"{constants.ENDPOINT}/{repository}/resolve/main/{names[0]}"
    if constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT):
        head = " --head FILE" if for_scores else ""
        how = f"give --model {model.cli_name} --pretrained {names[0]}{head}"
        raise UserError(_offline_message(model, address, how, for_scores))
    failure: Exception | None = None
    for name in names:
        try:
            return str(hf_hub_download(repository, name))
        except (
            OSError,
            ValueError,
            RuntimeError,
            HTTPError,
        ) as error:  # HTTPError: broken connections
            failure = error
    reason = str(failure).splitlines()[0]
    raise UserError(f"{address}: download failed ({reason}); run again to start it over")


def _offline_message(model: Model, address: str, how: str, for_scores: bool) -> str:
    instead = "--method phash (needs no download)"
    if for_scores:
        instead = "--model tiny (needs no download, technical quality only)"
    return (
        f"weights of {model.source} ({model.weights}) are not on this machine and cannot be "
        f"fetched; use {instead}, or fetch {address} on another machine and {how}"
    )


def is_reachable(address: str) -> bool:
    """Whether the host answers within NETWORK_TIMEOUT_SECONDS, even if name look-ups hang."""
    answers: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT_SECONDS / 2)
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_TIMEOUT_SECONDS)
    return answers == [True]
