"""Pictures of tapered capsules: a depth buffer per pixel, then shading, then the sensor.

Axis letters: H height, W width, N capsules. Camera frame: x right, y down, z away, metres.
"""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Camera",
    "DepthScale",
    "Light",
    "Surface",
    "Tone",
    "encode_depth",
    "hand_motion",
    "rasterise",
    "shade",
]

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

_NEAREST_M = 0.08
_SHADOW_REACH_PX = 24
_MAX_BLUR_PX = 15.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        width: pixels.
        height: pixels.
        focal_px: focal length in pixels, alike in both directions.
        centre_px: (x, y) of the optical axis in the picture.
    """

    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    columns: Floats = field(init=False, repr=False, compare=False)
    rows: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", np.arange(self.width, dtype=np.float32)[None])
        object.__setattr__(self, "rows", np.arange(self.height, dtype=np.float32)[:, None])


@dataclass(frozen=True)
class DepthScale:
    """How a sensor writes distances: linear between two planes, nothing behind the far one.

    Attributes:
        near_m: distance written as ``near_value``.
        far_m: distance written as ``far_value``; farther points are written as 0.
        near_value: 8-bit value.
        far_value: 8-bit value, smaller than ``near_value``: nearer is brighter.
    """

    near_m: float
    far_m: float
    near_value: int
    far_value: int


@dataclass(frozen=True)
class Light:
    """One lamp and the light from everywhere.

    Attributes:
        direction: (3,) unit vector from the surface to the lamp.
        ambient: share of the albedo that is seen in shadow.
        diffuse: share of the albedo that a surface square to the lamp adds.
        shadow: share of the light that the hand takes from what is behind it.
        sheen: brightness, 0 to 255, that a surface square to the lamp adds by shining.
    """

    direction: Floats
    ambient: float
    diffuse: float
    shadow: float = 0.0
    sheen: float = 0.0


@dataclass(frozen=True)
class Tone:
    """How a camera renders brightness: a straight line with a knee; the default changes nothing.

    Attributes:
        gain: slope of the line.
        before, after: a value and what becomes of it.
        knee: value above which the slope is a fifth, as cameras keep their whites from bursting.
    """

    gain: float = 1.0
    before: float = 0.0
    after: float = 0.0
    knee: float = 255.0

    def table(self, exposure: float) -> Bytes:
        """Return the (256,) uint8 values that pixels become at an exposure."""
        values = np.arange(256) * exposure
        line = self.after + self.gain * (values - self.before)
        bent = np.where(line > self.knee, self.knee + 0.2 * (line - self.knee), line)
        return np.clip(np.rint(bent), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Surface:
    """What every pixel of a picture sees.

    Attributes:
        distance: (H, W) float32 metres along the optical axis, inf where nothing is.
        normal: (2, H, W) float32 x and y of the unit normal; its z points at the camera.
        capsule: (H, W) int16 index of the capsule seen; meaningless where nothing is.
        box: (top, bottom, left, right) half-open bounds of all that is seen.
    """

    distance: Floats
    normal: Floats
    capsule: NDArray[np.int16]
    box: tuple[int, int, int, int]


def rasterise(capsules: Floats, camera: Camera) -> Surface:
    """Return the nearest surface at every pixel.

    Args:
        capsules: (N, 8) end points in metres and radii in metres, as ``hand.capsules`` returns.
        camera: where the picture is taken.

    Returns:
        Distances by depth buffer: of two capsules the nearer one is seen, pixel by pixel.
    """
    shape = (camera.height, camera.width)
    surface = Surface(
        distance=np.full(shape, np.inf, dtype=np.float32),
        normal=np.zeros((2, *shape), dtype=np.float32),
        capsule=np.zeros(shape, dtype=np.int16),
        box=(0, 0, 0, 0),
    )
    boxes = [
        box
        for index, projected in _project(capsules, camera)
        if (box := _draw(surface, index, projected, camera)) is not None
    ]
    if not boxes:
        return surface
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    bounds = (min(tops), max(bottoms), min(lefts), max(rights))
    return Surface(surface.distance, surface.normal, surface.capsule, bounds)


def _project(capsules: Floats, camera: Camera) -> list[tuple[int, list[float]]]:
    """Return index and projection of every capsule, and of the near end of foreshortened ones.

    A projection is ax, ay, bx, by in pixels, za, zb, ra, rb in metres, pa, pb (radii) in pixels.
    """
    z = np.maximum(capsules[:, [2, 5]], _NEAREST_M)
    x = capsules[:, [0, 3]] / z * camera.focal_px + camera.centre_px[0]
    y = capsules[:, [1, 4]] / z * camera.focal_px + camera.centre_px[1]
    radius = capsules[:, 6:8]
    radius_px = radius / z * camera.focal_px
    pairs = np.stack([x, y, z, radius, radius_px], axis=1).astype(np.float64)
    drawn = [
        (i, pair[[0, 1], :].T.ravel().tolist() + pair[2:].ravel().tolist())
        for i, pair in enumerate(pairs)
    ]
    length = np.hypot(x[:, 1] - x[:, 0], y[:, 1] - y[:, 0])
    for i in np.flatnonzero(length < 1.5 * radius_px.max(axis=1)):
        # Between the ends the picture of a foreshortened capsule is that of its nearer sphere.
        near = pairs[i, :, int(z[i, 1] < z[i, 0])]
        drawn.append((int(i), [*near[[0, 1, 0, 1]], *np.repeat(near[2:], 2)]))
    return drawn


def _draw(
    surface: Surface, index: int, projected: list[float], camera: Camera
) -> tuple[int, int, int, int] | None:
    """Draw one capsule into the buffers; return its bounds, None where it is out of view."""
    ax, ay, bx, by, za, zb, ra, rb, pa, pb = projected
    left = max(int(min(ax - pa, bx - pb)), 0)
    right = min(int(max(ax + pa, bx + pb)) + 2, camera.width)
    top = max(int(min(ay - pa, by - pb)), 0)
    bottom = min(int(max(ay + pa, by + pb)) + 2, camera.height)
    if left >= right or top >= bottom:
        return None
    dx, dy = bx - ax, by - ay
    x = camera.columns[:, left:right] - np.float32(ax)
    y = camera.rows[top:bottom] - np.float32(ay)
    if dx * dx + dy * dy < 0.25:
        # Seen end on: the line between the ends has no direction in the picture.
        share = np.full((bottom - top, right - left), float(zb < za), dtype=np.float32)
    else:
        scale = 1.0 / (dx * dx + dy * dy)
        share = x * np.float32(dx * scale) + y * np.float32(dy * scale)
        np.clip(share, 0.0, 1.0, out=share)
    inverse = 1.0 / (share * np.float32(pb - pa) + np.float32(pa))
    normal_x = (x - share * np.float32(dx)) * inverse
    normal_y = (y - share * np.float32(dy)) * inverse
    depth = 1.0 - normal_x * normal_x - normal_y * normal_y
    inside = depth > 0.0
    np.sqrt(np.maximum(depth, 0.0, out=depth), out=depth)
    distance = share * np.float32(zb - za) + np.float32(za)
    distance -= (share * np.float32(rb - ra) + np.float32(ra)) * depth
    window = (slice(top, bottom), slice(left, right))
    inside &= distance < surface.distance[window]
    np.copyto(surface.distance[window], distance, where=inside)
    np.copyto(surface.normal[0][window], normal_x, where=inside)
    np.copyto(surface.normal[1][window], normal_y, where=inside)
    surface.capsule[window][inside] = index
    return top, bottom, left, right


def hand_motion(capsules_TN8: Floats, camera: Camera, shutter: float) -> list[tuple[float, float]]:
    """Return how far the hand moves in the picture while the shutter is open, frame by frame.

    Args:
        capsules_TN8: of all frames; their mean stands for the hand.
        camera: where the picture is taken.
        shutter: share of the frame's time for which the shutter is open.

    Returns:
        (x, y) pixels per frame, at most 15 long.
    """
    z = np.maximum(capsules_TN8[..., [2, 5]], _NEAREST_M)
    places = np.stack([capsules_TN8[..., [0, 3]] / z, capsules_TN8[..., [1, 4]] / z], axis=-1)
    centre = places.mean(axis=(1, 2)) * camera.focal_px
    if len(centre) < 2:
        return [(0.0, 0.0)] * len(centre)
    speed = np.gradient(centre, axis=0) * shutter
    length = np.maximum(np.hypot(*speed.T), 1e-9)
    speed *= np.minimum(1.0, _MAX_BLUR_PX / length)[:, None]
    return [(float(x), float(y)) for x, y in speed]


def shade(
    surface: Surface,
    albedo: Floats,
    light: Light,
    background: Bytes,
    exposure: float,
    *,
    motion_px: tuple[float, float] = (0.0, 0.0),
    tone: Tone | None = None,
) -> Bytes:
    """Return the colour picture, before sensor noise.

    Args:
        surface: what every pixel sees.
        albedo: (N, 3) RGB of every capsule, 0 to 255.
        light: on the hand.
        background: (H, W, 3) RGB behind the hand.
        exposure: factor on the brightness of the whole picture; what exceeds 255 is clipped.
        motion_px: (x, y) by which the hand moves while the shutter is open; it is blurred so far.
        tone: of the camera; None: plain.

    Returns:
        (H, W, 3) uint8 RGB; silhouettes are softened over about one pixel.
    """
    picture = background.copy()
    top, bottom, left, right = surface.box
    if top < bottom:
        height, width = surface.distance.shape
        margin = _SHADOW_REACH_PX + int(max(map(abs, motion_px)))
        rows = slice(max(top - margin, 0), min(bottom + margin, height))
        window = (rows, slice(max(left - margin, 0), min(right + margin, width)))
        colour = _lit(surface, albedo, light, window)
        alpha = np.isfinite(surface.distance[window]).astype(np.float32)
        behind = picture[window] * (1.0 - light.shadow * _shadow(alpha, light))[..., None]
        kernel = _streak(motion_px)
        if kernel is not None:
            colour = cv2.filter2D(colour * alpha[..., None], -1, kernel)
            alpha = cv2.filter2D(alpha, -1, kernel)
            front = colour
        else:
            front = colour * alpha[..., None]
        mixed = front + behind * (1.0 - alpha)[..., None]
        picture[window] = np.clip(mixed, 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(picture, (3, 3), 0.55)
    return np.asarray(cv2.LUT(soft, (tone or Tone()).table(exposure)), dtype=np.uint8)


def _lit(
    surface: Surface, albedo: Floats, light: Light, window: tuple[slice, slice]
) -> NDArray[np.float32]:
    """Return the (h, w, 3) colour of the surface in a window; meaningless where nothing is."""
    normal_x, normal_y = surface.normal[0][window], surface.normal[1][window]
    square = np.maximum(1.0 - normal_x * normal_x - normal_y * normal_y, 0.0)
    normal_z = np.sqrt(square)
    lx, ly, lz = (np.float32(v) for v in light.direction)
    lit = np.maximum(normal_x * lx + normal_y * ly - normal_z * lz, 0.0)
    # Grazing views lose light, which separates neighbouring fingers of one colour.
    gain = (light.ambient + light.diffuse * lit) * (0.55 + 0.45 * normal_z)
    colour = albedo.astype(np.float32)[surface.capsule[window]] * gain[..., None]
    if light.sheen > 0.0:
        shine = lit
        for _ in range(4):
            shine = shine * shine
        colour += np.float32(light.sheen) * shine[..., None]
    return np.asarray(colour)


def _shadow(alpha: Floats, light: Light) -> Floats:
    """Return the soft shadow that the hand casts on what is behind it, 0 to 1."""
    if light.shadow <= 0.0:
        return np.zeros_like(alpha)
    # Away from the lamp; a quarter of the size, since nothing of it is sharp.
    shift = np.array(
        [[1.0, 0.0, -18.0 * light.direction[0]], [0.0, 1.0, -18.0 * light.direction[1]]]
    )
    size = (alpha.shape[1], alpha.shape[0])
    moved = cv2.warpAffine(alpha, shift, size)
    small = cv2.resize(moved, (max(size[0] // 4, 1), max(size[1] // 4, 1)))
    return np.asarray(cv2.resize(cv2.blur(small, (3, 3)), size))


def _streak(motion_px: tuple[float, float]) -> NDArray[np.float32] | None:
    """Return the kernel of a straight motion blur, None where it is shorter than a pixel."""
    length = float(np.hypot(*motion_px))
    if length < 1.5:
        return None
    steps = np.linspace(-0.5, 0.5, max(3, int(2 * length)))[:, None] * np.array(motion_px)
    reach = int(np.ceil(np.abs(steps).max()))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    columns, rows = np.rint(steps + reach).astype(int).T
    np.add.at(kernel, (rows, columns), 1.0)
    return kernel / kernel.sum()


def encode_depth(surface: Surface, scale: DepthScale, noise: Floats) -> Bytes:
    """Return the depth picture as the sensor writes it.

    Args:
        surface: what every pixel sees.
        scale: from metres to values.
        noise: (H, W) float32 of standard deviation 1; moves values and frays silhouettes.

    Returns:
        (H, W) uint8, nearer is brighter, 0 where nothing is near.
    """
    picture = np.zeros(surface.distance.shape, dtype=np.uint8)
    top, bottom, left, right = surface.box
    if top >= bottom:
        return picture
    window = (slice(top, bottom), slice(left, right))
    distance = surface.distance[window]
    seen = distance < scale.far_m
    slope = (scale.far_value - scale.near_value) / (scale.far_m - scale.near_m)
    # Sensors lose points at the outline, where the surface is seen at a grazing angle.
    inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0
    grazing = np.square(surface.normal[:, *window]).sum(axis=0)
    seen &= inner | (grazing < 0.985 - 0.10 * np.abs(noise[window]))
    value = np.where(seen, distance, scale.far_m) - scale.near_m
    value = value * slope + scale.near_value + noise[window]
    np.copyto(picture[window], np.clip(value, 1, 255).astype(np.uint8), where=seen)
    return picture
