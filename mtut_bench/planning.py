"""From what a user asked for to runs that can start, or one message with all that is missing."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mtut_bench.errors import FoldError, RunError, StoreError, UsageError
from mtut_bench.folds import choose_folds, make_folds
from mtut_bench.identity import RunPlan, plan_run
from mtut_bench.method import Method
from mtut_bench.protocol import Protocol
from mtut_bench.store_reader import StoreReader, list_stores
from mtut_bench.trainer import network_spec
from mtut_bench.types import MODALITIES, Fold

__all__ = ["Request", "describe_plans", "plan_runs"]


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        store: path of the store.
        method: the player.
        protocol: the rules.
        fold: name of a fold, or 'all'.
        modalities: which networks; empty for all of the store's.
        seed: of every draw.
        runs: root folder of runs.
        store_cure: how to get the store, for the message.
    """

    store: Path
    method: Method
    protocol: Protocol
    fold: str
    modalities: tuple[str, ...]
    seed: int
    runs: Path
    store_cure: str


def plan_runs(request: Request) -> list[RunPlan]:
    """Return one plan per fold.

    Raises:
        UsageError: seed or modalities do not exist or fit.
        FoldError: there is no such fold.
        StoreError: the store is damaged or empty.
        RunError: store, weights or person table are missing; lists all of them at once.
    """
    protocol = request.protocol
    if request.seed not in protocol.seeds:
        raise UsageError(
            f"seed {request.seed} is not one of protocol {protocol.name}'s",
            f"Choose one of {protocol.seeds[0]}..{protocol.seeds[-1]}.",
        )
    missing: list[str] = []
    reader, folds = _open(request, missing)
    if protocol.initialisation == "kinetics":
        missing.append(
            f"weights: protocol {protocol.name} starts from ImageNet + Kinetics weights, which this"
            " version cannot load yet.\n    Use --protocol paper-scratch (random weights, Table 7)."
        )
    if missing or reader is None:
        count = "one thing is" if len(missing) == 1 else f"{len(missing)} things are"
        raise RunError(
            f"the run cannot start: {count} missing\n"
            + "\n".join(f"  - {text}" for text in missing),
            "Without any recordings: mtut-bench prepare viva-synthetic --size tiny, then"
            " mtut-bench run --dataset viva-synthetic --size tiny --protocol demo",
        )
    modalities = _choose_modalities(request, reader)
    return [
        plan_run(reader, fold, request.method, modalities, protocol, request.seed, request.runs)
        for fold in choose_folds(folds, request.fold)
    ]


def _open(request: Request, missing: list[str]) -> tuple[StoreReader | None, list[Fold]]:
    if not request.store.exists():
        known = [path.stem for path in list_stores(request.store.parent)]
        there = ", ".join(known) if known else "none"
        missing.append(
            f"store: {request.store} does not exist (stores there: {there}).\n"
            f"    {request.store_cure}"
        )
        return None, []
    reader = StoreReader(request.store)
    reader.check_files()
    if not reader.table.rows:
        raise StoreError(f"{request.store} holds no clip", "Prepare it again.")
    attributes = reader.attributes
    try:
        folds = make_folds(reader.table.rows, attributes["fold_rule"], attributes["subject_unit"])
    except FoldError as error:
        missing.append(f"folds: {error.what}.\n    {error.cure}")
        folds = []
    return reader, folds


def _choose_modalities(request: Request, reader: StoreReader) -> tuple[str, ...]:
    asked = request.modalities or reader.modalities
    unknown = [name for name in asked if name not in reader.modalities]
    if unknown:
        raise UsageError(
            f"the store {reader.name} has no modality {unknown[0]!r}",
            f"It has: {', '.join(reader.modalities)}.",
        )
    chosen = tuple(name for name in MODALITIES if name in asked)
    if len(chosen) < request.method.min_modalities:
        raise UsageError(
            f"method {request.method.name} trains {request.method.min_modalities} modalities"
            f" together; {'+'.join(chosen)} is {len(chosen)}",
            f"Choose from: {', '.join(reader.modalities)}.",
        )
    return chosen


def describe_plans(plans: list[RunPlan]) -> list[str]:
    """Return what a run would do, one line each: runs, shared stages, clips, steps, disk."""
    lines: list[str] = []
    stages: dict[str, tuple[int, int]] = {}
    steps = clips = kept = most = 0
    for plan in plans:
        protocol = plan.protocol
        per_epoch = -(-len(plan.fold.train) // protocol.batch_size)
        state = "done" if plan.done() else "to do"
        lines.append(
            f"{plan.run_id[:12]}  {plan.method.name}, fold {plan.fold.name},"
            f" {'+'.join(plan.modalities)}, seed {plan.seed}: {len(plan.fold.train)} train,"
            f" {len(plan.fold.test)} test clips, {state}"
        )
        if plan.done():
            continue
        sizes = {modality: _network_bytes(plan, modality) for modality in plan.modalities}
        for modality, size in sizes.items():
            if not plan.stage_done(modality):
                # A checkpoint holds a momentum beside every weight.
                stages[plan.stage_id(modality)] = per_epoch * protocol.epochs_alone, 2 * size
        kept += sum(sizes.values())
        most = max(most, 2 * sum(sizes.values()))
        steps += per_epoch * protocol.epochs_joint * len(plan.modalities)
        clips += len(plan.fold.test) * len(plan.modalities)
    lines.append(
        f"first stages to train: {len(stages)}, {sum(n for n, _ in stages.values()):,} network"
        f" steps; joint stages: {steps:,} network steps; clips to test: {clips:,}"
    )
    kept += sum(size for _, size in stages.values())
    lines.append(
        f"disk: {kept / 1e6:,.0f} MB to keep, up to {2 * most / 1e6:,.0f} MB more while it trains"
    )
    return lines


def _network_bytes(plan: RunPlan, modality: str) -> int:
    spec = network_spec(modality, plan.identity["num_classes"], plan.protocol)
    with torch.device("meta"):
        network = plan.method.build_network(spec)
    return sum(tensor.nbytes for tensor in network.state_dict().values())
