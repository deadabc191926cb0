"""A user's own method, small enough to train in a test."""

OWN = """\
import torch
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.training.two_stage import TwoStageMethod
from mtut_bench.training.step import classification_losses


class Mean(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.head = torch.nn.Linear(spec.in_channels, spec.num_classes)

    def forward(self, clip):
        logits = self.head(clip.mean(dim=(3, 4)).transpose(1, 2))
        return NetworkOutput(logits.transpose(1, 2), clip)


def build():
    return TwoStageMethod(
        name="own",
        title="Own",
        fusion_title="Own-F",
        network="mean",
        build_network=Mean,
        build_objective=lambda settings: classification_losses,
    )
"""
