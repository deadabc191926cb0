"""What stands behind the hand, and the noise of the sensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.camera import Camera, Light

__all__ = ["NUM_METERED", "Noise", "Scene", "draw_noise", "draw_scene"]

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

NUM_METERED = 3
"""Pictures that a camera measures before it sets its exposure."""

_MARGIN = 48
_FAIR_EXPOSURE = (0.85, 1.12)
_WEAK_EXPOSURES = ((0.30, 0.55), (1.35, 1.80))
_HOLES = {False: 2.6, True: 0.9}
"""Standard deviations of a smooth field above which depth is lost, of fair and of weak clips."""
_METERED_SHARE, _DARKEST_LUMA = 0.75, 25.0
_SHADE_SHARE = 0.3
_GREY = 110.0
"""Mean of every interior."""
_PLACE_SHIFT_PX, _CLIP_SHIFT_PX = 4.0, 2.5
"""How far the camera's view differs from user to user, and from clip to clip."""
_PASSING_SHADE = 0.4


@dataclass(frozen=True)
class Scene:
    """A place and its light.

    Attributes:
        background: (H, W, 3) uint8 RGB.
        torso: (H, W) bool, pixels of the background that show the user; all False where the
            camera looks over the shoulder.
        light: on the hand; its direction is that of the first frame.
        directions: (T, 3) unit vectors to the lamp, which moves.
        exposure: (T,) factor on the brightness of each frame. As drawn, some clips are dark and
            some clipped; ``metered`` says what the camera makes of that.
        shade_edge_px: (T,) column up to which a passing shadow darkens the background; None: none
            passes.
    """

    background: Bytes
    torso: NDArray[np.bool_]
    light: Light
    directions: Floats
    exposure: Floats
    shade_edge_px: Floats | None

    def metered(self, first: Sequence[Bytes], luma: float) -> "Scene":
        """Return the scene as a camera with automatic exposure takes it.

        The camera measures the mean luma of its first pictures, hand and background, and multiplies
        its exposure by (luma / mean) ** 0.75: three quarters of the way, on a scale of factors.
        Clips too dark or clipped are corrected as all others are; a mean below 25 counts as 25, for
        a sensor's gain has an end.

        Args:
            first: (H, W, 3) uint8 RGB as the camera renders them, before noise.
            luma: what the camera aims at, 0 to 255.
        """
        mean = np.mean([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).mean() for picture in first])
        gain = (luma / max(float(mean), _DARKEST_LUMA)) ** _METERED_SHARE
        return replace(self, exposure=self.exposure * gain)

    def light_at(self, index: int) -> Light:
        """Return the light of a frame."""
        return replace(self.light, direction=self.directions[index])

    def background_at(self, index: int) -> Bytes:
        """Return the (H, W, 3) uint8 background of a frame."""
        if self.shade_edge_px is None:
            return self.background
        columns = np.arange(self.background.shape[1], dtype=np.float32)
        depth = 1.0 / (1.0 + np.exp((columns - self.shade_edge_px[index]) / 6.0))
        gain = (1.0 - _PASSING_SHADE * depth).astype(np.float32)
        return (self.background * gain[None, :, None]).astype(np.uint8)


@dataclass(frozen=True)
class Noise:
    """Pools larger than a picture, of which every frame takes another window.

    Attributes:
        colour: (H + margin, W + margin, 3) int16 sensor noise of the colour picture.
        depth: (H + margin, W + margin) float32, standard deviation 1 times the level of noise,
            smooth over two pixels.
        holes: (H + margin, W + margin) bool, where depth is lost; in blobs of some pixels.
        corners: (T, 4) int: top and left of the colour window, then of the depth window.
    """

    colour: NDArray[np.int16]
    depth: Floats
    holes: NDArray[np.bool_]
    corners: NDArray[np.int64]

    def add_colour(self, picture: Bytes, index: int) -> Bytes:
        """Return a (H, W, 3) uint8 picture with the colour noise of frame ``index``."""
        top, left = self.corners[index, :2]
        height, width = picture.shape[:2]
        noisy = picture + self.colour[top : top + height, left : left + width]
        return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)

    def depth_window(self, camera: Camera, index: int) -> Floats:
        """Return the (H, W) float32 depth noise of frame ``index``."""
        top, left = self.corners[index, 2:]
        return self.depth[top : top + camera.height, left : left + camera.width]

    def lose_depth(self, depth: Bytes, index: int) -> Bytes:
        """Return a (H, W) uint8 depth picture with the holes of frame ``index``."""
        top, left = self.corners[index, 2:]
        height, width = depth.shape
        return np.where(self.holes[top : top + height, left : left + width], np.uint8(0), depth)


def draw_noise(
    rng: np.random.Generator,
    camera: Camera,
    num_frames: int,
    *,
    level: float,
    weak: bool,
    sigma: tuple[float, float] = (1.5, 4.5),
) -> Noise:
    """Return the noise of one clip.

    Args:
        rng: keyed by the clip.
        camera: whose picture size the pools exceed.
        num_frames: T.
        level: factor on the noise of both sensors.
        weak: whether depth has large holes.
        sigma: range of the standard deviation of colour noise.

    Returns:
        Pools of one standard deviation, drawn anew per clip.
    """
    size = (camera.height + _MARGIN, camera.width + _MARGIN)
    strength = rng.uniform(*sigma) * level
    colour = np.rint(rng.standard_normal((*size, 3), dtype=np.float32) * strength)
    depth = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (5, 5), 1.0)
    depth *= level / depth.std()
    field = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), 5.0)
    return Noise(
        colour=colour.astype(np.int16),
        depth=depth,
        holes=field > _HOLES[weak] * field.std(),
        corners=rng.integers(0, _MARGIN, (num_frames, 4)),
    )


def draw_scene(
    interior: np.random.Generator,
    place: np.random.Generator,
    clip: np.random.Generator,
    camera: Camera,
    *,
    num_frames: int,
    weak: bool,
    torso_rgb: tuple[Floats, Floats] | None = None,
    sheen: float = 0.0,
    clutter: float = 1.0,
) -> Scene:
    """Return the scene of one clip.

    Args:
        interior: keyed by dataset and seed: one car for everyone.
        place: keyed by the person and seat: how user and camera stand in all their clips.
        clip: keyed by the clip: another hour, another shift of the camera.
        camera: of the colour stream.
        num_frames: T.
        weak: whether the clip is too dark or clipped.
        torso_rgb: (skin, clothing) of a user who sits in view, 0 to 255.
        sheen: of the light, 0 to 255.
        clutter: contrast of the interior, 0 (one grey) to 1.

    Returns:
        A textured background with light and shadow, never empty and never alike twice; its
        exposure is the one before the camera meters.
    """
    picture = _wall(interior, camera)
    # Everyone's interior has one brightness for every seed: through the camera's exposure a dark
    # one would burst all hands.
    picture = _GREY + clutter * (picture - picture.mean())
    torso = np.zeros((camera.height, camera.width), dtype=np.uint8)
    if torso_rgb is not None:
        _sit(place, picture, torso, *torso_rgb)
    shift = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    shift[:, 2] = place.normal(0.0, _PLACE_SHIFT_PX, 2) + clip.normal(0.0, _CLIP_SHIFT_PX, 2)
    size = (camera.width, camera.height)
    picture = cv2.warpAffine(picture, shift, size, borderMode=cv2.BORDER_REFLECT)
    torso = cv2.warpAffine(torso, shift, size, flags=cv2.INTER_NEAREST)
    picture *= clip.uniform(0.75, 1.15)
    direction = np.array([clip.normal(0.0, 0.6), -clip.uniform(0.2, 0.9), -1.0])
    # A lamp that moves, as the sun does from a car that turns.
    turn = clip.normal(0.0, 0.35, 2) * np.linspace(0.0, 1.0, num_frames)[:, None]
    directions = direction + np.column_stack([turn, np.zeros(num_frames)])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    light = Light(
        direction=directions[0],
        ambient=float(clip.uniform(0.35, 0.55)),
        diffuse=float(clip.uniform(0.45, 0.80)),
        shadow=float(clip.uniform(0.0, 0.45)),
        sheen=sheen,
    )
    walk = np.cumsum(clip.normal(0.0, 0.006, num_frames))
    return Scene(
        background=np.clip(picture, 0, 255).astype(np.uint8),
        torso=torso > 0,
        light=light,
        directions=directions,
        exposure=_draw_exposure(clip, weak=weak) * np.clip(1.0 + walk, 0.8, 1.2),
        shade_edge_px=_draw_shade(clip, camera.width, num_frames),
    )


def _draw_exposure(rng: np.random.Generator, *, weak: bool) -> float:
    """Return the exposure of a clip: fair, or too dark or clipped."""
    kind, share = int(rng.random() < 0.5), rng.random()
    low, high = _WEAK_EXPOSURES[kind] if weak else _FAIR_EXPOSURE
    return float(low + share * (high - low))


def _draw_shade(rng: np.random.Generator, width: int, num_frames: int) -> Floats | None:
    """Return where a shadow that passes over the background ends, or None."""
    begin, end = rng.uniform(-0.3, 1.3, 2) * width
    if rng.random() >= _SHADE_SHARE:
        return None
    return np.linspace(begin, end, num_frames)


def _wall(rng: np.random.Generator, camera: Camera) -> Floats:
    """Return (H, W, 3) float32: cloudy texture, a gradient of light, panels and edges."""
    height, width = camera.height, camera.width
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:] = _colour(rng, 35.0, 185.0)
    for cells, strength in ((3, 28.0), (7, 16.0), (17, 9.0), (45, 5.0)):
        tint = rng.uniform(0.8, 1.2, 3).astype(np.float32)
        grid = rng.standard_normal((cells, 2 * cells, 1), dtype=np.float32) * strength * tint
        picture += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(4, 9))):
        centre = rng.uniform(0.0, 1.0, 2) * (width, height)
        extent = rng.uniform(0.06, 0.45, 2) * (width, height)
        corners = cv2.boxPoints(
            (tuple(map(float, centre)), tuple(map(float, extent)), float(rng.uniform(-30, 30)))
        )
        colour = _colour(rng, 10.0, 225.0).tolist()
        panel = picture.copy()
        cv2.fillPoly(panel, [corners.astype(np.int32)], colour)
        weight = float(rng.uniform(0.25, 0.9))
        picture = picture * (1.0 - weight) + panel * weight
    slope = rng.normal(0.0, 0.25, 2)
    across = np.linspace(-1.0, 1.0, width, dtype=np.float32) * slope[0]
    down = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None] * slope[1]
    return np.asarray(picture * np.clip(1.0 + across + down, 0.3, 1.7)[..., None])


def _colour(rng: np.random.Generator, low: float, high: float) -> Floats:
    """Return a (3,) muted colour, as interiors have: a grey and a tenth of any colour."""
    return np.asarray(0.9 * rng.uniform(low, high) + 0.1 * rng.uniform(low, high, 3))


def _sit(
    rng: np.random.Generator, picture: Floats, torso: Bytes, skin: Floats, clothing: Floats
) -> None:
    """Paint head and shoulders of the user into ``picture`` and mark them in ``torso``."""
    height, width = torso.shape
    x = int(width * rng.uniform(0.56, 0.74))
    y = int(height * rng.uniform(0.34, 0.46))
    radius = int(height * rng.uniform(0.10, 0.13))
    trunk = np.zeros_like(torso)
    shoulders = (x, int(y + 3.4 * radius))
    cv2.ellipse(trunk, shoulders, (int(2.1 * radius), 2 * radius), 0, 0, 360, 255, -1)
    cv2.rectangle(
        trunk, (x - 2 * radius, shoulders[1]), (x + 2 * radius, height), 255, thickness=-1
    )
    stripes = 1.0 + 0.25 * np.sin(np.arange(height) * rng.uniform(0.1, 0.8))[:, None, None]
    picture[:] = np.where(trunk[..., None] > 0, clothing * stripes, picture)
    head = np.zeros_like(torso)
    cv2.ellipse(head, (x, y), (int(0.8 * radius), radius), 0, 0, 360, 255, -1)
    cv2.rectangle(head, (x - radius // 3, y), (x + radius // 3, y + int(1.6 * radius)), 255, -1)
    relief = 1.0 - 0.25 * np.abs(np.arange(width) - x)[None, :, None] / radius
    picture[:] = np.where(head[..., None] > 0, skin * 0.8 * np.clip(relief, 0.4, 1.0), picture)
    hair = np.zeros_like(torso)
    cv2.ellipse(hair, (x, y), (int(0.85 * radius), radius), 0, 195, 345, 255, -1)
    picture[:] = np.where(hair[..., None] > 0, float(rng.uniform(15, 90)), picture)
    torso[:] = np.maximum(trunk, head)
