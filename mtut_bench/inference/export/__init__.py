"""Trained networks as files of other programs: safetensors and ONNX, each with a model card."""

from mtut_bench.inference.export.writing import FORMATS, export_networks

__all__ = ["FORMATS", "export_networks"]
