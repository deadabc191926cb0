"""Synthetic datasets: raw folders in the layout of a real dataset, read by its ordinary adapter.

A hand of palm and five fingers is posed by joint angles and drawn with a depth buffer, in colour
and in depth. Every clip is a pure function of (generator version, dataset, seed, clip id).
"""

from mtut_preprocess.synthetic.dataset import Settings, Size
from mtut_preprocess.synthetic.generator import SYNTHETIC, check_size, generate

__all__ = ["SYNTHETIC", "Settings", "Size", "check_size", "generate"]
