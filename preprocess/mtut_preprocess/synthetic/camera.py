"""Pictures of tapered capsules: a depth buffer per pixel, then shading, then the sensor.

Axis letters: H height, W width, N capsules. Camera frame: x right, y down, z away, metres.
"""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera", "DepthScale", "Light", "Surface", "encode_depth", "rasterise", "shade"]

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

_NEAREST_M = 0.08


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
    """

    direction: Floats
    ambient: float
    diffuse: float


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


def shade(
    surface: Surface, albedo: Floats, light: Light, background: Bytes, flicker: float
) -> Bytes:
    """Return the colour picture, before sensor noise.

    Args:
        surface: what every pixel sees.
        albedo: (N, 3) RGB of every capsule, 0 to 255.
        light: on the hand.
        background: (H, W, 3) RGB behind the hand.
        flicker: factor on the brightness of the whole picture.

    Returns:
        (H, W, 3) uint8 RGB; silhouettes are softened over about one pixel.
    """
    picture = background.copy()
    top, bottom, left, right = surface.box
    if top < bottom:
        window = (slice(top, bottom), slice(left, right))
        normal_x, normal_y = surface.normal[0][window], surface.normal[1][window]
        square = np.maximum(1.0 - normal_x * normal_x - normal_y * normal_y, 0.0)
        normal_z = np.sqrt(square)
        lx, ly, lz = (np.float32(v) for v in light.direction)
        lit = np.maximum(normal_x * lx + normal_y * ly - normal_z * lz, 0.0)
        # Grazing views lose light, which separates neighbouring fingers of one colour.
        gain = (light.ambient + light.diffuse * lit) * (0.55 + 0.45 * normal_z)
        colour = albedo.astype(np.float32)[surface.capsule[window]] * gain[..., None]
        seen = np.isfinite(surface.distance[window])[..., None]
        np.copyto(picture[window], np.clip(colour, 0, 255).astype(np.uint8), where=seen)
    soft = cv2.GaussianBlur(picture, (3, 3), 0.55)
    return np.asarray(cv2.convertScaleAbs(soft, alpha=flicker), dtype=np.uint8)


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
