"""What some runs still have to train, as a countdown: first stages and joint stages."""

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import RunError
from mtut_bench.progress import Countdown, Piece
from mtut_bench.runs.plan import RunPlan
from mtut_bench.runs.workload import measured_rate

__all__ = ["count_down"]


def count_down(plans: Sequence[RunPlan]) -> Countdown:
    """Return the countdown of all epochs that are left, at first at the rates of earlier runs.

    A unit is one clip through one network, a step is an epoch. Pieces are named by the folders of
    first stages and of runs.

    Args:
        plans: done, begun or not.
    """
    pieces: dict[str, Piece] = {}
    kinds: defaultdict[str, list[RunPlan]] = defaultdict(list)
    for plan in plans:
        if plan.done():
            continue
        if not isinstance(plan.method.recipe, Recipe):
            # How long another method takes is not known.
            continue
        recipe, num_clips = plan.recipe, len(plan.fold.train)
        kind = f"{plan.protocol.name} {plan.method.network}"
        kinds[kind].append(plan)
        for modality in plan.shared_keys:
            if not plan.stage_done(modality):
                folder = plan.stage_folder(modality)
                left = recipe.epochs_alone - _epochs_in(folder, "alone")
                done = partial(plan.stage_done, modality)
                pieces[folder.name] = Piece(kind, left, num_clips, done)
        left = recipe.epochs_joint - _epochs_in(plan.folder, "joint")
        pieces[plan.folder.name] = Piece(kind, left, num_clips * len(plan.modalities), plan.done)
    rates: dict[str, float] = {}
    for kind, some in kinds.items():
        # A forecast is no reason to stop at a damaged stage that these runs may not need.
        with suppress(RunError):
            if rate := measured_rate(some):
                rates[kind] = rate
    return Countdown(pieces, rates)


def _epochs_in(folder: Path, stage: str) -> int:
    """Return how many epochs of a stage its log has; 0 where it starts anew."""
    if not (folder / "checkpoint.pt").is_file():
        return 0
    try:
        entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        return len({entry["epoch"] for entry in entries if entry["stage"] == stage})
    except (OSError, ValueError, KeyError, TypeError):
        # Counted when the checkpoint is read.
        return 0
