"""The classes of both twins as tables of keyframes, and which classes mirror each other."""

from mtut_preprocess.synthetic.gestures import Gesture, Key, reflect, turn, with_rest

__all__ = ["NVGESTURE", "VIVA", "VIVA_MIRROR"]

# Behind the user's shoulder: the hand comes from below and the image shows its back.
_LAP = Key(0.0, "relaxed", up=-0.24, near=0.06, pitch=-20.0)
# Facing the user: the hand rests on the steering wheel, low in the image.
_WHEEL = Key(0.0, "relaxed", right=0.10, up=-0.15, near=-0.07, roll=35.0, pitch=35.0)


def _viva(name: str, *stroke: Key) -> Gesture:
    """Return a class of the VIVA twin."""
    return Gesture(name, with_rest(_LAP, *stroke))


def _nv(name: str, *stroke: Key) -> Gesture:
    """Return a class of the NVGesture twin."""
    return Gesture(name, with_rest(_WHEEL, *stroke))


def _mirrored(name: str, gesture: Gesture) -> Gesture:
    """Return the mirror class of a class."""
    return Gesture(name, reflect(gesture.keys))


def _across(shape: str, reach: float) -> tuple[Key, Key]:
    """Return a stroke from image left to image right, the hand leaning with it."""
    return (
        Key(0.32, shape, right=-reach, roll=-reach * 150.0),
        Key(0.66, shape, right=reach, roll=reach * 150.0),
    )


def _upwards(shape: str, low: float, high: float, pitch: float = 0.0) -> tuple[Key, Key]:
    """Return a stroke from ``low`` up to ``high``, in metres; downwards where low > high."""
    return (
        Key(0.32, shape, up=low, pitch=pitch + low * 150.0),
        Key(0.66, shape, up=high, pitch=pitch + high * 150.0),
    )


def _nearer(shape: str, begin: float, end: float, pitch: float = 0.0) -> tuple[Key, Key]:
    """Return a stroke along the camera axis, in metres towards the camera."""
    return (
        Key(0.32, shape, near=begin, pitch=pitch),
        Key(0.66, shape, near=end, pitch=pitch),
    )


def _taps(num_taps: int) -> tuple[Key, ...]:
    """Return a pointing finger that taps, away from the camera."""
    up = [Key(0.30 + 0.4 * i / num_taps, "one", pitch=8.0) for i in range(num_taps + 1)]
    down = [
        Key(0.30 + 0.4 * (i + 0.5) / num_taps, "pressed", up=-0.045, near=-0.05, pitch=-22.0)
        for i in range(num_taps)
    ]
    return tuple(sorted(up + down))


def _held(shape: str, roll: float = 0.0, yaw: float = 0.0) -> tuple[Key, Key, Key]:
    """Return a hand shape that is shown and held, with a small emphasis."""
    return (
        Key(0.34, shape, roll=roll, yaw=yaw),
        Key(0.50, shape, up=0.012, near=0.015, roll=roll, yaw=yaw),
        Key(0.66, shape, roll=roll, yaw=yaw),
    )


def _repeated(first: Key, second: Key, num_times: int) -> tuple[Key, ...]:
    """Return first, second, first, ... with ``num_times`` seconds, at times 0.28 to 0.72."""
    count = 2 * num_times + 1
    keys = [(first, second)[i % 2] for i in range(count)]
    return tuple(
        key._replace(time=round(0.28 + 0.44 * i / (count - 1), 6)) for i, key in enumerate(keys)
    )


_SWIPE_RIGHT = _viva("Swipe Right", *_across("flat", 0.15))
_SCROLL_RIGHT = _viva("Scroll Right", *_across("two", 0.10))
_ROTATE_CW = _viva("Rotate CW", *turn("one", radius=0.055, turns=1.5, pitch=-10.0))

VIVA: tuple[Gesture, ...] = (
    _SWIPE_RIGHT,
    _mirrored("Swipe Left", _SWIPE_RIGHT),
    _viva("Swipe Down", *_upwards("flat", 0.09, -0.09)),
    _viva("Swipe Up", *_upwards("flat", -0.09, 0.09)),
    _viva(
        "Swipe V",
        Key(0.26, "flat", right=-0.12, up=0.07, roll=-14.0),
        Key(0.50, "flat", up=-0.08),
        Key(0.74, "flat", right=0.12, up=0.07, roll=14.0),
    ),
    _viva(
        "Swipe X",
        Key(0.24, "flat", right=-0.11, up=0.07, roll=-12.0),
        Key(0.42, "flat", right=0.11, up=-0.07, roll=12.0),
        Key(0.57, "flat", right=0.11, up=0.07, near=0.05, roll=12.0),
        Key(0.76, "flat", right=-0.11, up=-0.07, roll=-12.0),
    ),
    _viva(
        "Swipe +",
        Key(0.24, "flat", right=-0.12, roll=-14.0),
        Key(0.42, "flat", right=0.12, roll=14.0),
        Key(0.57, "flat", up=0.09, near=0.05),
        Key(0.76, "flat", up=-0.08),
    ),
    _SCROLL_RIGHT,
    _mirrored("Scroll Left", _SCROLL_RIGHT),
    _viva("Scroll Down", *_upwards("two", 0.06, -0.07)),
    _viva("Scroll Up", *_upwards("two", -0.07, 0.06)),
    _viva("Tap-1", *_taps(1)),
    _viva("Tap-3", *_taps(3)),
    _viva("Pinch", Key(0.36, "apart"), Key(0.62, "pinched")),
    _viva("Expand", Key(0.36, "pinched"), Key(0.62, "apart")),
    _mirrored("Rotate CCW", _ROTATE_CW),
    _ROTATE_CW,
    _viva("Open", Key(0.38, "fist"), Key(0.60, "open")),
    _viva("Close", Key(0.38, "open"), Key(0.60, "fist")),
)
"""The 19 classes, in the order of the sorted gesture ids of the file names."""

VIVA_MIRROR: tuple[int, ...] = (1, 0, 2, 3, -1, -1, -1, 8, 7, 9, 10, 11, 12, 13, 14, 16, 15, 17, 18)
"""Class that each VIVA class becomes in a mirror; -1 where the mirrored motion is no class."""

NVGESTURE: tuple[Gesture, ...] = (
    # Names are the user's view, motions the image: the user's left is image right.
    _nv("move hand left", *_across("flat", 0.11)),
    _nv("move hand right", *reflect(_across("flat", 0.11))),
    _nv("move hand up", *_upwards("flat", -0.08, 0.08)),
    _nv("move hand down", *_upwards("flat", 0.08, -0.08)),
    _nv("move two fingers left", *_across("two", 0.085)),
    _nv("move two fingers right", *reflect(_across("two", 0.085))),
    _nv("move two fingers up", *_upwards("two", -0.07, 0.07)),
    _nv("move two fingers down", *_upwards("two", 0.07, -0.07)),
    _nv(
        "click with index finger",
        Key(0.36, "one", pitch=10.0),
        Key(0.50, "pressed", near=0.05, pitch=34.0),
        Key(0.64, "one", pitch=10.0),
    ),
    _nv(
        "call someone",
        *_repeated(
            Key(0.0, "flat", yaw=165.0, pitch=-10.0),
            Key(0.0, "beckon", yaw=165.0, pitch=-25.0),
            2,
        ),
    ),
    _nv("open hand", Key(0.38, "fist"), Key(0.58, "open")),
    _nv(
        "shake hand",
        *_repeated(
            Key(0.0, "open", right=-0.035, roll=-20.0), Key(0.0, "open", right=0.035, roll=20.0), 3
        ),
    ),
    _nv("show index finger", *_held("one")),
    _nv("show two fingers", *_held("vee")),
    _nv("show three fingers", *_held("three")),
    _nv("push hand up", *_upwards("flat", -0.08, 0.08, pitch=-62.0)),
    _nv("push hand down", *_upwards("flat", 0.08, -0.08, pitch=62.0)),
    _nv("push hand out", *_nearer("flat", -0.05, 0.11)),
    _nv("pull hand in", *_nearer("flat", 0.09, -0.08)),
    _nv("rotate fingers clockwise", *turn("two", radius=0.05, turns=-1.5)),
    _nv("rotate fingers counter-clockwise", *turn("two", radius=0.05, turns=1.5)),
    _nv("push two fingers away", *_nearer("two", -0.05, 0.09, pitch=24.0)),
    _nv("close hand twice", *_repeated(Key(0.0, "open"), Key(0.0, "fist"), 2)),
    _nv("thumb up", *_held("thumb", roll=85.0, yaw=165.0)),
    _nv("OK sign", *_held("ring")),
)
"""The 25 classes, label 1 first."""
