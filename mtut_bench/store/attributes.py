"""The attributes of a store: what a reader must know that is not in its arrays."""

import re
from collections.abc import Mapping
from reprlib import repr as short_repr
from typing import Any

from msgspec import Struct, ValidationError, convert, to_builtins

from mtut_bench.contract.types import Origin
from mtut_bench.errors import StoreError

__all__ = ["FORMAT_VERSION", "HOW_TO_MAKE_ONE", "StoreAttributes", "StoreFacts", "read_attributes"]

FORMAT_VERSION = 1
HOW_TO_MAKE_ONE = "To make one, see `mtut-bench prepare --help`."


class StoreFacts(Struct, frozen=True, kw_only=True):
    """What is known of a store before its frames.

    Attributes:
        dataset: name as users type it ('viva', 'viva-synthetic').
        origin: 'recorded' or 'synthetic'.
        complete: whether it holds every clip of the dataset.
        expected_clips: number of clips of the complete dataset.
        classes: a name per class.
        mirror: class that each class becomes when mirrored, -1 for none; None: unknown.
        fold_rule, subject_unit: as :func:`mtut_bench.contract.folds.make_folds` takes them.
        fps: frames per second; stays the whole number that a dataset's table gives, since the
            fingerprint of the plan is made of its text.
        depth_polarity: which way depth values go, in words.
        flow: algorithm and parameters of each modality that is optical flow.
        colour: which colour stream the frames are from.
        alignment: how the modalities were aligned.
        assumptions: what was assumed of the recordings, one sentence each.
        source, licence: where the recordings come from and on what terms; "" where unknown.
    """

    dataset: str
    origin: Origin
    complete: bool
    expected_clips: int
    classes: tuple[str, ...]
    mirror: tuple[int, ...] | None
    fold_rule: str
    subject_unit: str
    fps: int | float
    depth_polarity: str
    flow: dict[str, dict[str, Any]]
    colour: str
    alignment: dict[str, Any]
    assumptions: tuple[str, ...]
    source: str
    licence: str


class StoreAttributes(StoreFacts, frozen=True, kw_only=True, rename={"skipped": "set_aside"}):
    """What a finished store says of itself.

    Attributes:
        format_version: of the store.
        skipped: (clip id, reason) of clips that could not be read and are not in the table; under
            ``set_aside`` in a store.
        modalities: what it holds, in the project's order.
        plan: fingerprint of its :class:`mtut_bench.store.format.StorePlan`.
        digest: of its content, see :func:`mtut_bench.store.format.content_digest`.
        versions: software that made the frames.
    """

    format_version: int
    skipped: tuple[tuple[str, str], ...]
    modalities: tuple[str, ...]
    plan: str
    digest: str
    versions: dict[str, str]

    def facts(self) -> StoreFacts:
        """Return what was known before the frames were written."""
        return StoreFacts(**{name: getattr(self, name) for name in StoreFacts.__struct_fields__})

    def to_json(self) -> dict[str, Any]:
        """Return them ready for JSON, in the order in which a store has them."""
        return {"format_version": self.format_version, **to_builtins(self)}


def read_attributes(stored: Mapping[str, Any], where: str, hint: str) -> StoreAttributes:
    """Return the attributes of a store, checked; unknown ones are ignored.

    Args:
        stored: as :meth:`StoreAttributes.to_json` gave them.
        where: the store or file, for messages.
        hint: for a damaged one.

    Raises:
        StoreError: they are not a store's, of a newer format, missing or of another type.
    """
    version = stored.get("format_version")
    if not isinstance(version, int):
        raise StoreError(
            f"{where} is not a store of mtut-bench: it has no format_version", HOW_TO_MAKE_ONE
        )
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{where} has format version {version}; this mtut-bench reads up to {FORMAT_VERSION}",
            "Install a newer mtut-bench, or prepare the store again with this one (--overwrite).",
        )
    absent = sorted(set(StoreAttributes.__struct_encode_fields__) - stored.keys())
    if absent:
        raise StoreError(f"{where} has no attribute {', '.join(absent)}", hint)
    try:
        return convert(stored, StoreAttributes)
    except ValidationError as error:
        # "Expected `str`, got `int` - at `$.classes[0]`"
        fault, _, place = str(error).partition(" - at `$.")
        name = re.split(r"\W", place)[0]
        raise StoreError(
            f"{where}: the attribute {name} is {short_repr(stored[name])}: {fault}", hint
        ) from error
