"""What a frame must become before an exported network may see it, as facts and as code."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from mtut_bench.contract.recipe import Recipe
from mtut_bench.contract.types import behaves_like, num_channels
from mtut_bench.loading.transforms import (
    BGR_MEAN,
    MOTION_SCALE,
    centre_crop,
    network_channels,
    resized_size,
)
from mtut_bench.runs.trained import TrainedRun
from mtut_bench.store.format import FLOW_LIMIT_PX

__all__ = ["InputSpec", "input_spec"]


@dataclass(frozen=True)
class InputSpec:
    """Input of one exported network. Sizes are (height, width) in pixels, lengths in frames.

    Attributes:
        modality: what the network sees.
        frame_size: of the frames before anything is done to them, as the store keeps them.
        resized: what they are resized to.
        corner: (top, left) of the crop in the resized frame.
        crop: side of the square crop.
        frame_channels: of a stored frame.
        channels: of the network's input.
        clip_length: frames of a training clip.
        min_frames: shorter clips get frames of zeros appended up to this length.
        recipe: scaling and depth input.
    """

    modality: str
    frame_size: tuple[int, int]
    resized: tuple[int, int]
    corner: tuple[int, int]
    crop: int
    frame_channels: int
    channels: int
    clip_length: int
    min_frames: int
    recipe: Recipe

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value that a frame can give."""
        if behaves_like(self.modality) != "flow" and self.recipe.scaling == "bgr-mean":
            return -max(BGR_MEAN), 255.0 - min(BGR_MEAN)
        if behaves_like(self.modality) != "flow" and self.recipe.scaling == "motion":
            return -255.0 / MOTION_SCALE, 255.0 / MOTION_SCALE
        return -1.0, 1.0

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return {
            "axes": ["clip", "channel", "frame", "row", "column"],
            "dtype": "float32",
            "modality": self.modality,
            "frame_size": list(self.frame_size),
            "resized": list(self.resized),
            "crop_corner": list(self.corner),
            "crop": self.crop,
            "channels": self.channels,
            "range": list(self.value_range),
            "clip_length": self.clip_length,
            "min_frames": self.min_frames,
        }

    def scaling(self) -> str:
        """Return in words how bytes become the network's numbers."""
        kind = behaves_like(self.modality)
        if kind == "flow":
            return (
                f"a byte u means (u - 128) * {FLOW_LIMIT_PX:g} / 127 pixels of the frame before the"
                " resize; times the resize factor of its axis, clipped to"
                f" +-{FLOW_LIMIT_PX:g}, divided by {FLOW_LIMIT_PX:g}; channels x, y"
            )
        if self.recipe.scaling == "bgr-mean":
            order = "channels blue, green, red, " if kind == "rgb" else ""
            return f"{order}0..255, minus the mean {', '.join(f'{m:g}' for m in BGR_MEAN)}"
        order = "channels red, green, blue, " if kind == "rgb" else "one grey value, "
        if self.recipe.scaling == "motion":
            return (
                f"{order}(byte - median) / {MOTION_SCALE:g}, the median that of each place of the"
                " resized frames over all frames of the clip"
            )
        return f"{order}byte / 127.5 - 1"

    def code(self, *, pad: bool) -> list[str]:
        """Return Python that makes an input of frames, needing torch and numpy alone.

        Args:
            pad: append frames of zeros below the minimum; the networks of this project do so
                themselves, an exported graph does not.
        """
        (tall, wide), (top, left) = self.resized, self.corner
        height, width = self.frame_size
        lines = [
            "def prepare(frames):",
            f'    """Return (1, {self.channels}, T, {self.crop}, {self.crop}) of uint8 frames'
            f' (T, {height}, {width}, {self.frame_channels})."""',
            "    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()",
            f"    x = functional.interpolate(x, size=({tall}, {wide}), mode='bilinear',"
            " align_corners=False, antialias=True)",
            *(f"    {line}" for line in self._scaling_code()),
            f"    x = x[..., {top} : {top + self.crop}, {left} : {left + self.crop}]",
            f"    x = x.expand(-1, {self.channels}, -1, -1).transpose(0, 1)[None].contiguous()",
        ]
        if pad and self.min_frames > 1:
            lines += [
                f"    missing = max(0, {self.min_frames} - x.shape[2])",
                "    x = functional.pad(x, (0, 0, 0, 0, 0, missing))",
            ]
        return [*lines, "    return x"]

    def _scaling_code(self) -> list[str]:
        kind = behaves_like(self.modality)
        if kind == "flow":
            (tall, wide), (height, width) = self.resized, self.frame_size
            limit = f"{FLOW_LIMIT_PX:g}.0"
            return [
                f"factors = torch.tensor([{wide} / {width}, {tall} / {height}]).view(1, 2, 1, 1)",
                f"x = (x - 128.0) * (factors * ({limit} / 127.0))",
                f"x = x.clamp(-{limit}, {limit}) / {limit}",
            ]
        if self.recipe.scaling == "unit":
            return ["x = x / 127.5 - 1.0"]
        if self.recipe.scaling == "motion":
            return [
                "s, n = x.sort(dim=0).values, len(x)",
                f"x = (x - (s[(n - 1) // 2] + s[n // 2]) / 2) / {MOTION_SCALE}",
            ]
        mean = f"torch.tensor({list(BGR_MEAN)})"
        if self.channels == 1:
            return [f"x = x - {mean}.mean()"]
        flipped = "x.flip(1)" if kind == "rgb" else f"x.expand(-1, {self.channels}, -1, -1)"
        return [f"x = {flipped} - {mean}.view(1, -1, 1, 1)"]


def input_spec(run: TrainedRun, modality: str, network: nn.Module) -> InputSpec:
    """Return the input of a run's network.

    Args:
        run: the run.
        modality: one of the run's.
        network: that of the modality; says its shortest clip.
    """
    recipe = run.recipe
    crop = centre_crop(*run.frame_size, recipe)
    return InputSpec(
        modality=modality,
        frame_size=run.frame_size,
        resized=resized_size(*run.frame_size, recipe),
        corner=(crop.top, crop.left),
        crop=recipe.crop,
        frame_channels=num_channels(modality),
        channels=network_channels(modality, recipe),
        clip_length=recipe.clip_length,
        min_frames=int(getattr(network, "min_frames", 1)),
        recipe=recipe,
    )
