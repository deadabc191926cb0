"""Trained networks as files of other programs: safetensors and ONNX, each with a model card."""

from mtut_bench.inference.export.writing import export_networks

__all__ = ["export_networks"]
