import threading

import pytest
import torch
from torch.nn import functional as F

from mtut_baselines.networks.recompute import is_recomputing, recompute_group


def leaf():
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_the_group_runs_twice_and_knows_the_second_time():
    seen = []

    def group(x):
        seen.append(is_recomputing())
        return x.exp().sin()

    recompute_group(group, leaf()).sum().backward()
    assert seen == [False, True]
    assert not is_recomputing()


def test_without_gradients_it_runs_once():
    seen = []
    with torch.no_grad():
        recompute_group(lambda x: seen.append(is_recomputing()) or x.exp(), leaf())
    assert seen == [False]


def test_random_draws_are_repeated():
    gradients = []
    for run in (lambda function, x: function(x), recompute_group):
        torch.manual_seed(3)
        x = leaf()
        y = run(lambda x: F.dropout(x.exp(), 0.5).sin(), x)
        # Draws between the passes must not matter, nor be disturbed.
        after = torch.rand(2)
        y.sum().backward()
        gradients.append((x.grad, after, torch.rand(2)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_nothing_between_input_and_output_is_kept():
    x, kept = leaf(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        recompute_group(lambda x: x.exp().sin().exp(), x)
    assert [tensor.data_ptr() for tensor in kept] == [x.data_ptr()]


def test_a_failing_second_pass_leaves_no_trace():
    def group(x):
        if is_recomputing():
            raise KeyError
        return x.exp()

    y = recompute_group(group, leaf())
    with pytest.raises(KeyError):
        y.sum().backward()
    assert not is_recomputing()


def test_another_thread_is_not_recomputing():
    seen = []

    def group(x):
        if is_recomputing():
            thread = threading.Thread(target=lambda: seen.append(is_recomputing()))
            thread.start()
            thread.join()
        return x.exp()

    recompute_group(group, leaf()).sum().backward()
    assert seen == [False]
