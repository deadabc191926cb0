"""What stands behind the hand, and the noise of the sensors."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.camera import Camera, Light

__all__ = ["Noise", "Scene", "draw_noise", "draw_scene"]

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

_MARGIN = 48


@dataclass(frozen=True)
class Scene:
    """A place and its light.

    Attributes:
        background: (H, W, 3) uint8 RGB.
        torso: (H, W) bool, pixels of the background that show the user; all False where the
            camera looks over the shoulder.
        light: on the hand.
        flicker: (T,) factor on the brightness of each frame.
    """

    background: Bytes
    torso: NDArray[np.bool_]
    light: Light
    flicker: Floats


@dataclass(frozen=True)
class Noise:
    """Pools larger than a picture, of which every frame takes another window.

    Attributes:
        colour: (H + margin, W + margin, 3) int16 sensor noise of the colour picture.
        depth: (H + margin, W + margin) float32, standard deviation 1, smooth over two pixels.
        corners: (T, 4) int: top and left of the colour window, then of the depth window.
    """

    colour: NDArray[np.int16]
    depth: Floats
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


def draw_noise(rng: np.random.Generator, camera: Camera, num_frames: int) -> Noise:
    """Return the noise of one clip.

    Args:
        rng: keyed by the clip.
        camera: whose picture size the pools exceed.
        num_frames: T.

    Returns:
        Pools of one standard deviation, drawn anew per clip.
    """
    size = (camera.height + _MARGIN, camera.width + _MARGIN)
    sigma = rng.uniform(1.5, 4.5)
    colour = np.rint(rng.standard_normal((*size, 3), dtype=np.float32) * sigma)
    depth = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (5, 5), 1.0)
    depth /= depth.std()
    return Noise(
        colour=colour.astype(np.int16),
        depth=depth,
        corners=rng.integers(0, _MARGIN, (num_frames, 4)),
    )


def draw_scene(
    place: np.random.Generator,
    moment: np.random.Generator,
    camera: Camera,
    *,
    num_frames: int,
    torso_rgb: tuple[Floats, Floats] | None = None,
) -> Scene:
    """Return the scene of one clip.

    Args:
        place: keyed by the person and seat: the same room in all their clips.
        moment: keyed by the clip: another hour, another shift of the camera.
        camera: of the colour stream.
        num_frames: T.
        torso_rgb: (skin, clothing) of a user who sits in view, 0 to 255.

    Returns:
        A textured background with light and shadow, never empty and never alike twice.
    """
    picture = _wall(place, camera)
    torso = np.zeros((camera.height, camera.width), dtype=np.uint8)
    if torso_rgb is not None:
        _sit(place, picture, torso, *torso_rgb)
    shift = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    shift[:, 2] = moment.normal(0.0, 2.5, 2)
    size = (camera.width, camera.height)
    picture = cv2.warpAffine(picture, shift, size, borderMode=cv2.BORDER_REFLECT)
    torso = cv2.warpAffine(torso, shift, size, flags=cv2.INTER_NEAREST)
    picture *= moment.uniform(0.75, 1.15)
    direction = np.array([moment.normal(0.0, 0.6), -moment.uniform(0.2, 0.9), -1.0])
    light = Light(
        direction=direction / np.linalg.norm(direction),
        ambient=float(moment.uniform(0.35, 0.55)),
        diffuse=float(moment.uniform(0.45, 0.80)),
    )
    walk = np.cumsum(moment.normal(0.0, 0.006, num_frames))
    return Scene(
        background=np.clip(picture, 0, 255).astype(np.uint8),
        torso=torso > 0,
        light=light,
        flicker=np.clip(1.0 + walk, 0.8, 1.2),
    )


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
    """Return a (3,) muted colour, as interiors have: a grey and a quarter of any colour."""
    return np.asarray(0.75 * rng.uniform(low, high) + 0.25 * rng.uniform(low, high, 3))


def _sit(
    rng: np.random.Generator, picture: Floats, torso: Bytes, skin: Floats, clothing: Floats
) -> None:
    """Paint head and shoulders of the user into ``picture`` and mark them in ``torso``."""
    height, width = torso.shape
    x = int(width * rng.uniform(0.50, 0.68))
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
