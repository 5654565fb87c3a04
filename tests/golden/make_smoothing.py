#!/usr/bin/env python3
"""Make smoothing.h5: the three kinds of label smoothing as soft targets, written out.

    python3 make_smoothing.py [FILE]        (default: smoothing.h5 beside this script)

Logits are x W^T + b; `y` is the cross-entropy of each row with the soft targets, `loss` its sum. What the published
code computes (PyTorch's own smoothing; tensor2tensor, which subtracts a constant; the divergence that
The Annotated Transformer and JoeyNMT take) must have the same gradient. See make_pytorch.py for how
the file is laid out.
"""

import math
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from make_pytorch import Case, create_file, leaf, put_gradients

R, D, V, NEVER, EPS = 7, 5, 11, 1, 0.2
KINDS = ("uniform", "others", "annotated")


def soft_targets(kind, labels):
    target = torch.arange(V) == labels[:, None]
    if kind == "uniform":
        return torch.where(target, 1 - EPS + EPS / V, EPS / V)
    if kind == "others":
        return torch.where(target, 1 - EPS, EPS / (V - 1))
    q = torch.where(target, 1 - EPS, EPS / (V - 2))
    q[:, NEVER] = 0
    return q


def published(kind, logits, labels, q):
    """The loss of each row as the systems have it, and what it is less than the cross-entropy."""
    if kind == "uniform":
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=EPS), 0
    others = V - (1 if kind == "others" else 2)
    entropy = -(1 - EPS) * math.log(1 - EPS) - EPS * math.log(EPS / others)
    if kind == "others":
        return (-q * logits.log_softmax(1)).sum(1) - entropy, entropy
    return F.kl_div(logits.log_softmax(1), q, reduction="none").sum(1), entropy


def smoothing(parent, number, kind):
    case = Case(parent, kind, smoothing=EPS, kind=number, never=NEVER)
    x, weight, bias = leaf(R, D), leaf(V, D), leaf(V)
    labels = torch.tensor([3, 0, 10, 0, 5, 5, 2])
    q = soft_targets(kind, labels)
    assert (q.sum(1) - 1).abs().max() < 1e-15
    logits = x @ weight.T + bias
    y = F.cross_entropy(logits, q, reduction="none")
    theirs, less = published(kind, logits, labels, q)
    assert (y - less - theirs).abs().max() < 1e-13
    a, b = (torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (y, theirs))
    assert (a - b).abs().max() < 1e-15
    logits.retain_grad()
    inputs = {"x": x, "weight": weight, "bias": bias, "logits": logits, "labels": labels}
    put_gradients(case, inputs, {"loss": y.sum().reshape(1)})
    case.put("output", {"y": y})


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("smoothing.h5")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with create_file(path) as file:
        for number, kind in enumerate(KINDS):
            smoothing(file, number, kind)


if __name__ == "__main__":
    main()
