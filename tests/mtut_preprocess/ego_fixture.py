"""A small raw folder in EgoGesture's layout with every wart of the real one."""

import json
from collections import defaultdict
from pathlib import Path

import cv2
from recordings import numbered

SPLITS = Path(__file__).parents[3] / "shared" / "reference" / "splits.json"
LABELS = "labels-final-revised1"

# (subject, scene, group): rows class, start, end. Subjects 3 and 23 train, 1 and 33 validate, 2
# tests; 23 lacks scene 3 of its four.
TREE = {
    (1, 1, 1): [(7, 2, 9), (83, 12, 20)],
    (2, 1, 1): [(2, 1, 8), (1, 9, 11)],
    (3, 1, 1): [(7, 5, 14), (6, 15, 24)],
    (3, 1, 2): [(1, 1, 9)],
    (3, 2, 6): [(56, 3, 10), (58, 12, 19)],
    (23, 2, 1): [(20, 1, 8)],
    (23, 4, 1): [(65, 1, 8)],
    (33, 5, 1): [(66, 2, 10)],
}
# In the order of the store: train, val, test; then by number.
ORDER = [(3, 1, 1), (3, 1, 2), (3, 2, 6), (23, 2, 1), (23, 4, 1), (1, 1, 1), (33, 5, 1), (2, 1, 1)]


def label_file(root, subject, scene, group, stem="Group"):
    return root / LABELS / f"subject{subject:02d}" / f"Scene{scene}" / f"{stem}{group}.csv"


def write_labels(root, video, text):
    """Write the text of a label file: in small letters for subject 33, scenes 5 and 6."""
    small = video[0] == 33 and video[1] in (5, 6)
    path = label_file(root, *video, stem="group" if small else "Group")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def label_text(video, rows):
    lines = [",".join(map(str, row)) for row in rows]
    if video == (3, 2, 6):
        # The stray row; pandas then writes the others as floats.
        lines = [",".join(f"{value:.1f}" for value in row) for row in rows]
        lines.append(" ,,")
    return "\n".join(lines) + ("" if video[2] == 1 else "\n")


def pictures(count, *video):
    """Frames 1..count; each says its number, and the lowest rows which recording it is."""
    frames = numbered(count, 1, width=64)
    frames[:, 16:] = sum(n * factor for n, factor in zip(video, (5, 17, 29), strict=True)) % 256
    return frames


def write_images(folder, subject, scene, group, count):
    """Write frames 1..count in colour and depth."""
    for kind in ("Color/rgb", "Depth/depth"):
        place = folder / f"Subject{subject:02d}" / f"Scene{scene}" / f"{kind}{group}"
        place.mkdir(parents=True)
        for number, luma in enumerate(pictures(count, subject, scene, group), start=1):
            _, data = cv2.imencode(".jpg", luma if "depth" in kind else cv2.merge([luma] * 3))
            (place / f"{number:06d}.jpg").write_bytes(data.tobytes())


def write_ego(root, images="images", tree=TREE):
    """Write labels and images.

    Args:
        root: raw folder.
        images: name of the image folder, or a function of (subject, scene) that gives it; None: no
            images.
        tree: rows per recording.
    """
    for video, rows in tree.items():
        write_labels(root, video, label_text(video, rows))
        if images is not None:
            name = images(*video[:2]) if callable(images) else images
            write_images(root / name, *video, max(end for _, _, end in rows))
    for folder in [root / LABELS, *(root / LABELS).glob("subject*")]:
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root


def listed(splits):
    """(video, label 1..83, start, end, split) of every row of splits.json, in its order."""
    rows = []
    for split in ("train", "val", "test"):
        for row in splits[split]:
            subject, scene, _, stream = row["path"].split("/")
            video = int(subject[-2:]), int(scene[-1]), int(stream.removeprefix("rgb"))
            rows.append((video, row["label"], row["start"], row["end"], split))
    return rows


def rebuild_labels(root):
    """Write the whole label tree of splits.json, warts included; return its rows."""
    rows = listed(json.loads(SPLITS.read_text())["egogesture"])
    tree = defaultdict(list)
    for video, *row, _ in rows:
        tree[video].append(row)
    write_ego(root, None, tree)
    return rows
