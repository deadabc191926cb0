"""Tensors of a weight file to those of a network: every one placed, or named with the reason."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mtut_baselines.weights.files import WeightFile, WeightsError
from mtut_baselines.weights.key_maps import (
    FIRST_LAYERS,
    LOGITS,
    OWN,
    SCHEMES,
    InputCard,
    card,
    recognise,
)

__all__ = ["LoadReport", "adapt_channels", "first_channels", "own_names", "place"]

MIN_SHARE = 0.95
"""Least share of a network's tensors, those of the logits aside, that a file must fill."""

_FOLDED = "folded into its convolution; exact in evaluation, undone by batch statistics in training"


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of a file and of a network.

    Attributes:
        source: the scheme that the file's names follow, or 'mtut-bench'.
        sha256: of the file, 64 hexadecimal digits.
        mapped: names of the network's tensors that were filled.
        adapted: those of them that were changed on the way: 'name: what was done'.
        dropped: the file's tensors that have no place in the network: 'name: why'.
        left: the network's tensors that keep their initialisation: 'name: why'.
        share: of the network, its logits aside, that was filled: the smaller one of tensors and
            of numbers, 0 to 1.
        origin: the public scheme that a converted file came from; else the source.
        channels: of the file's first kernel; 0 where it has none.
    """

    source: str
    sha256: str
    mapped: tuple[str, ...]
    adapted: tuple[str, ...]
    dropped: tuple[str, ...]
    left: tuple[str, ...]
    share: float
    origin: str
    channels: int

    @property
    def card(self) -> InputCard:
        """What input the file's network expects."""
        return card(self.origin, self.channels)

    def lines(self) -> list[str]:
        """Return the report for a terminal; groups of dropped tensors are counted by reason."""
        reasons = [text.split(": ", 1)[1] for text in self.dropped]
        counted = [
            f"dropped {reasons.count(reason)}: {reason}" for reason in dict.fromkeys(reasons)
        ]
        origin = "" if self.origin == self.source else f", converted from {self.origin}"
        return [
            f"source {self.source}{origin}",
            f"sha256 {self.sha256}",
            f"mapped {len(self.mapped)}: {self.share:.1%} of the network without its logits",
            *(f"adapted {text}" for text in self.adapted),
            *counted,
            *(f"left {text}" for text in self.left),
        ]


@dataclass
class _Renamed:
    """A file's tensors under our names, on their way into a network.

    Attributes:
        tensors: by our names; what is placed or folded is taken out.
        names: the file's name of each.
        adapted: see :class:`LoadReport`.
        dropped: see :class:`LoadReport`.
    """

    tensors: dict[str, Tensor]
    names: dict[str, str]
    adapted: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def place(file: WeightFile, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], LoadReport]:
    """Return the values for a network's tensors from a weight file, and the report.

    A batch norm with gain g computes g (x - m) / sqrt(v + eps) + b, ours the same without g. The
    convolution before it and m are multiplied by g, and v stays: (g x - g m) / sqrt(v + eps) + b,
    which is exact in evaluation mode for every g, 0 and negative ones too. (With v times g^2 the
    gain would cancel.) In training mode batch statistics divide the gain out again, down to its
    sign: a network without gains cannot keep one, and the report says so.

    Args:
        file: the weights.
        state: the network's tensors, of which names, shapes and kinds count; they may be on the
            meta device.

    Raises:
        WeightsError: under 95 % of the network's tensors are filled, or a first kernel has no
            adaptation.
    """
    source = recognise(file.tensors)
    renamed = _rename(file, source)
    channels = first_channels(renamed.tensors)
    for name in [n for n in renamed.tensors if n.endswith(".bn.weight") and n not in state]:
        _fold(renamed, name)
    values: dict[str, Tensor] = {}
    left: list[str] = []
    for name, target in state.items():
        value, note = _fit(name, renamed.tensors.pop(name, None), target)
        if value is None:
            left.append(f"{name}: {note}")
            continue
        values[name] = value
        if note:
            renamed.adapted.append(f"{name}: {note}")
    renamed.dropped += [
        f"{renamed.names[name]}: the network has no such tensor" for name in renamed.tensors
    ]
    report = LoadReport(
        source=source,
        sha256=file.sha256,
        mapped=tuple(values),
        adapted=tuple(renamed.adapted),
        dropped=tuple(renamed.dropped),
        left=tuple(left),
        share=_share(values, state),
        origin=_origin(file, source),
        channels=channels,
    )
    if report.share < MIN_SHARE:
        raise _too_little(file, report, state)
    return values, report


def own_names(file: WeightFile) -> dict[str, Tensor]:
    """Return the tensors of a file that have a name among ours, under it."""
    return _rename(file, recognise(file.tensors)).tensors


def first_channels(tensors: Mapping[str, Tensor]) -> int:
    """Return the input channels of the first kernel, 0 where there is none."""
    kernels = [tensors[name] for name in FIRST_LAYERS if name in tensors]
    return kernels[0].shape[1] if kernels and kernels[0].ndim == 5 else 0


def adapt_channels(kernel: Tensor, channels: int) -> tuple[Tensor, str]:
    """Return a first kernel for another number of input channels, and what was done.

    To 1 channel: the sum over the input channels, the same function as replicating the input. From
    3 to 2 (colour to flow): the third slice is dropped and the rest multiplied by 1.5. From 1: the
    kernel divided by the number of channels and replicated, the same function on equal channels.

    Args:
        kernel: (C out, C in, T, H, W).
        channels: C in of the network.

    Raises:
        WeightsError: no adaptation, as from flow's 2 channels to 3: horizontal and vertical
            motion have no counterpart among colours.
    """
    given = kernel.shape[1]
    if channels == given:
        return kernel, ""
    if channels == 1:
        return kernel.sum(dim=1, keepdim=True), f"summed over {given} input channels"
    if given == 1:
        replicated = kernel.expand(-1, channels, -1, -1, -1) / channels
        return replicated, f"replicated to {channels} input channels and divided by {channels}"
    if (given, channels) == (3, 2):
        return kernel[:, :2] * 1.5, "third input channel dropped, the others times 1.5"
    raise WeightsError(
        f"a first kernel with {given} input channels cannot be adapted to {channels}",
        "Use a file trained on 3 channels (rgb): it can be adapted to 1 and 2.",
    )


def _rename(file: WeightFile, source: str) -> _Renamed:
    """Return a file's tensors under our names; those without one are dropped with the reason."""
    if source == OWN:
        return _Renamed(dict(file.tensors), {name: name for name in file.tensors})
    renamed = _Renamed({}, {})
    for name, tensor in file.tensors.items():
        own = SCHEMES[source].rename(name)
        if own is not None:
            renamed.tensors[own] = tensor
            renamed.names[own] = name
        elif name.endswith("num_batches_tracked"):
            renamed.dropped.append(f"{name}: a step count that our batch norm does not use")
        else:
            renamed.dropped.append(f"{name}: not a known name of {source}")
    return renamed


def _fold(renamed: _Renamed, name: str) -> None:
    """Take a batch norm's gain out, into the convolution and mean before it."""
    gain = renamed.tensors.pop(name).double()
    if bool((gain == 1).all()):
        renamed.dropped.append(f"{renamed.names[name]}: a gain of 1, which is no gain")
        return
    unit = name.removesuffix(".bn.weight")
    targets = (f"{unit}.conv3d.weight", f"{unit}.bn.running_mean")
    if any(renamed.tensors.get(target, gain[:0]).shape[:1] != gain.shape for target in targets):
        renamed.dropped.append(f"{renamed.names[name]}: a gain without its convolution and mean")
        return
    for target in targets:
        value = renamed.tensors[target]
        column = gain.reshape(-1, *[1] * (value.ndim - 1))
        renamed.tensors[target] = (value.double() * column).to(value.dtype)
    renamed.adapted.append(f"{renamed.names[name]}: {_FOLDED}")


def _fit(name: str, value: Tensor | None, target: Tensor) -> tuple[Tensor | None, str]:
    """Return the value in the target's shape or None, and what was done or why it does not fit."""
    if value is None:
        return None, "not in the file"
    if value.is_floating_point() != target.is_floating_point():
        return None, f"the file's is {value.dtype}, the network's {target.dtype}"
    note = ""
    same_rows = value.shape[:1] == target.shape[:1]
    if name in FIRST_LAYERS and value.ndim == target.ndim == 5 and same_rows:
        value, note = adapt_channels(value, target.shape[1])
    if value.ndim == 2 and target.ndim == 5 and same_rows and value.numel() == target.numel():
        # Columns run over channel, time, row, place of the flattened map, as a kernel's axes do.
        value = value.reshape(target.shape)
    if value.shape != target.shape:
        return None, f"the file's is {tuple(value.shape)}, the network's {tuple(target.shape)}"
    return value, note


def _share(names: Container[str], state: Mapping[str, Tensor]) -> float:
    """Return the share of the network, its logits aside, among the names.

    The smaller one of tensors and of numbers: C3D without fc6 has 95 % of its tensors, but lacks
    two numbers in five.
    """
    body = {name: value for name, value in state.items() if not name.startswith(LOGITS)}
    found = {name: value for name, value in body.items() if name in names}
    numbers = [sum(value.numel() for value in part.values()) for part in (found, body)]
    return min(len(found) / max(1, len(body)), numbers[0] / max(1, numbers[1]))


def _origin(file: WeightFile, source: str) -> str:
    """Return the public scheme in a converted file's metadata, or the source."""
    known = file.metadata.get("source", "")
    return known if source == OWN and known in SCHEMES else source


def _too_little(file: WeightFile, report: LoadReport, state: Mapping[str, Tensor]) -> WeightsError:
    left = [text for text in report.left if not text.startswith(LOGITS)]
    body = sum(not name.startswith(LOGITS) for name in state)
    examples = "; ".join(left[:3])
    return WeightsError(
        f"{file.path} (names of {report.source}) fills {body - len(left)} of the network's {body} "
        f"tensors, {report.share:.0%} of the network. For instance {examples}",
        "The file is for another network or width: give weights for this one.",
    )
