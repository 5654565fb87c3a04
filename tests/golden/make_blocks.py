#!/usr/bin/env python3
"""Make blocks.h5: causal decoder layers with rotary positions, grouped heads, RMSNorm and gated
feed-forward, from the papers' formulas and, where PyTorch has them, its own functions.

    python3 make_blocks.py [FILE]        (default: blocks.h5 beside this script)

Rotary positions are complex products here (Su et al. 2021, equation 12): nothing of weft's form.
See make_pytorch.py for how the file is laid out.
"""

import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from make_pytorch import Case, create_file, leaf, offsets, put_gradients, randomise

D, FFN, HEADS, EPS = 24, 10, 6, 1e-5
K = D // HEADS


def frequencies(scaling, factor, length, base=10000.0):
    i = torch.arange(K // 2)
    plain = base ** (-2 * i / K)
    if scaling == "ntk":
        return (base * factor ** (K / (K - 2))) ** (-2 * i / K), 1.0
    if scaling == "yarn":
        def pair(turns):
            return K * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base))
        low, high = max(math.floor(pair(32)), 0), min(math.ceil(pair(1)), K - 1)
        ramp = ((i - low) / max(high - low, 0.001)).clamp(0, 1)
        return plain * (1 - ramp) + plain / factor * ramp, 0.1 * math.log(factor) + 1
    return plain, 1.0


def rotate(x, halves, scaling):
    """[T, heads, K] with each pair of channels as a complex number times exp(i p w)."""
    w, magnitude = frequencies(*scaling)
    turn = torch.polar(torch.full((len(x), K // 2), magnitude), torch.arange(len(x))[:, None] * w)
    pairs = x.unflatten(-1, (2, K // 2)).transpose(-1, -2) if halves else x.unflatten(-1, (K // 2, 2))
    y = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn[:, None])
    return (y.transpose(-1, -2) if halves else y).flatten(-2)


class Attention(nn.Module):
    def __init__(self, kv_heads, qk_norm, halves, scaling):
        super().__init__()
        self.kv_heads, self.halves, self.scaling = kv_heads, halves, scaling
        rows = D + 2 * kv_heads * K
        self.in_proj_weight = nn.Parameter(torch.empty(rows, D))
        self.in_proj_bias = nn.Parameter(torch.empty(rows))
        self.out_proj = nn.Linear(D, D)
        if qk_norm:
            self.q_norm, self.k_norm = nn.RMSNorm(K, EPS), nn.RMSNorm(K, EPS)
        self.qk_norm = qk_norm

    def forward(self, x):
        y = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (part.unflatten(-1, (-1, K)) for part in
                   y.split([D, self.kv_heads * K, self.kv_heads * K], dim=-1))
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = (rotate(part, self.halves, self.scaling) for part in (q, k))
        q, k, v = (part.transpose(0, 1)[None] for part in (q, k, v))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.out_proj(o[0].transpose(0, 1).flatten(-2))


class ScaleNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1))

    def forward(self, x):
        return self.weight * x / (x.norm(dim=-1, keepdim=True) ** 2 + EPS * D).sqrt()


class Block(nn.Module):
    def __init__(self, norm, gate, sandwich, attention):
        super().__init__()
        new = ScaleNorm if norm == "scale" else lambda: nn.RMSNorm(D, EPS)
        self.gate, self.sandwich = gate, sandwich
        self.self_attn = Attention(**attention)
        self.linear1, self.linear2 = nn.Linear(D, 2 * FFN), nn.Linear(FFN, D)
        self.norm1, self.norm2 = new(), new()
        if sandwich:
            self.norm1_out, self.norm2_out = new(), new()

    def feedforward(self, x):
        hidden = self.linear1(x)
        if self.gate == "glu":
            return self.linear2(F.glu(hidden))
        a, b = hidden.chunk(2, dim=-1)
        return self.linear2(a * {"swiglu": F.silu, "geglu": F.gelu}[self.gate](b))

    def forward(self, x):
        y = self.self_attn(self.norm1(x))
        x = x + (self.norm1_out(y) if self.sandwich else y)
        y = self.feedforward(self.norm2(x))
        return x + (self.norm2_out(y) if self.sandwich else y)


def block(parent, name, **form):
    case = Case(parent, name)
    layer = Block(**form)
    randomise(layer)
    lengths = [5, 1, 12]
    x = leaf(sum(lengths), D)
    y = torch.cat([layer(sentence) for sentence in x.split(lengths)])
    put_gradients(case, {"x": x, "offsets": offsets(lengths)}, {"y": y}, layer)


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("blocks.h5")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with create_file(path) as file:
        block(file, "llama", norm="rms", gate="swiglu", sandwich=False,
              attention=dict(kv_heads=2, qk_norm=False, halves=True, scaling=("none", 1, 0)))
        block(file, "gptj_yarn", norm="rms", gate="geglu", sandwich=False,
              attention=dict(kv_heads=6, qk_norm=True, halves=False, scaling=("yarn", 4.0, 64)))
        block(file, "multi_query_ntk", norm="scale", gate="glu", sandwich=True,
              attention=dict(kv_heads=1, qk_norm=False, halves=False, scaling=("ntk", 8.0, 0)))


if __name__ == "__main__":
    main()
