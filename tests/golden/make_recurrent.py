#!/usr/bin/env python3
"""Make recurrent.h5: nn.RNN, nn.LSTM and nn.GRU, as make_pytorch.py (which see) makes its layers.

    python3 make_recurrent.py [FILE]        (default: recurrent.h5 beside this script)
"""

import sys
from pathlib import Path

import torch
from torch import nn

from make_pytorch import Case, create_file, leaf, must_agree, offsets, pack, pad, put_gradients, randomise


def recurrent(parent, cell):
    case = Case(parent, cell.lower())
    layer = getattr(nn, cell)(7, 5, batch_first=True)
    randomise(layer)
    lengths = [4, 1, 20]
    x = leaf(sum(lengths), 7)
    y = pack(layer(pad(x, lengths))[0], lengths)  # what comes after a sentence does not reach it
    alone = torch.cat([layer(s[None])[0][0] for s in x.split(lengths)])
    must_agree(y, alone, cell)
    put_gradients(case, {"x": x, "offsets": offsets(lengths)}, {"y": y}, layer)


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("recurrent.h5")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with create_file(path) as file:
        for cell in ("RNN", "LSTM", "GRU"):
            recurrent(file, cell)


if __name__ == "__main__":
    main()
