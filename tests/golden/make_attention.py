#!/usr/bin/env python3
"""Make attention.h5: scaled_dot_product_attention and nn.MultiheadAttention with every kind of mask.

    python3 make_attention.py [FILE]        (default: attention.h5 beside this script)

Masks are stored as PyTorch takes them, as 0 and 1: in `sdpa` 1 keeps a key, in `mha` 1 drops it.
Sentences of unequal lengths are calls of their own for `sdpa`, padded ones for `mha`. See
make_pytorch.py for how the file is laid out.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from make_pytorch import (Case, causal_mask, create_file, create_group, leaf, must_agree, offsets, pack, pad,
                          padding, put_gradients, randomise)


# ---- scaled_dot_product_attention: packed [N, heads * width], True keeps --------------------------


def split_heads(x, n):
    """[N, n K] -> [1, n, N, K]"""
    return x.unflatten(-1, (n, -1)).transpose(0, 1)[None]


def attend(x, lengths, key_lengths, H, G, mask=None, bias=None, **how):
    """Each sentence by a call; mask [N, C] or [H, N, C], bias [H, N, C]."""
    rows, outputs = 0, []
    for q, k, v in zip(x["q"].split(lengths), x["k"].split(key_lengths), x["v"].split(key_lengths)):
        part = mask if mask is not None else bias
        if part is not None:
            part = part[..., rows:rows + len(q), :len(k)]
        y = F.scaled_dot_product_attention(split_heads(q, H), split_heads(k, G), split_heads(v, G),
                                           attn_mask=part, enable_gqa=G < H, **how)
        outputs.append(y[0].transpose(0, 1).flatten(-2))
        rows += len(q)
    return torch.cat(outputs)


def sdpa(parent, name, lengths, key_lengths=None, H=2, G=None, K=3, Kv=4, mask=None, bias=None, **how):
    """`mask` and `bias` make a tensor from (H, N, C)."""
    case = Case(parent, name)
    same = key_lengths is None
    key_lengths = lengths if same else key_lengths
    G = G or H
    N, M, C = sum(lengths), sum(key_lengths), max(key_lengths)
    x = {"q": leaf(N, H * K), "k": leaf(M, G * K), "v": leaf(M, G * Kv)}
    added = {"mask": mask, "bias": bias}
    added = {what: make(H, N, C) for what, make in added.items() if make}
    y = attend(x, lengths, key_lengths, H, G, **added, **how)
    with sdpa_kernel(SDPBackend.MATH):  # its kernels and its formula are one
        must_agree(y, attend(x, lengths, key_lengths, H, G, **added, **how), name)
    x |= added | {"q_offsets": offsets(lengths)}
    if not same:
        x["k_offsets"] = offsets(key_lengths)
    put_gradients(case, x, {"y": y})


def some_keys(*shape):
    """True keeps; rows 1 and 6 keep nothing: the output is 0."""
    mask = torch.rand(*shape) < 0.6
    mask[..., 0] = True
    mask[..., [1, 6], :] = False
    return mask


def bias_with_holes(*shape):
    """-inf here and there, and nothing else in row 2."""
    x = torch.randn(*shape).masked_fill(torch.rand(*shape) < 0.3, -torch.inf)
    x[..., 0] = 1.0
    x[..., 2, :] = -torch.inf
    return x.requires_grad_()


def all_sdpa(parent):
    sdpa(parent, "full", [5, 1, 8])
    sdpa(parent, "cross", [5, 1, 8], [2, 7, 3])
    sdpa(parent, "causal", [5, 1, 8], is_causal=True)
    sdpa(parent, "scale", [5, 1, 8], scale=0.7)
    sdpa(parent, "causal_tiles", [63, 66, 130], is_causal=True, Kv=2)
    sdpa(parent, "grouped", [5, 1, 8], H=6, G=2)
    sdpa(parent, "grouped_causal", [5, 1, 70], H=4, G=2, is_causal=True)
    sdpa(parent, "multi_query", [5, 1, 8], [2, 7, 3], H=4, G=1, Kv=2)
    sdpa(parent, "boolean", [5, 1, 8], mask=lambda H, N, C: some_keys(N, C))
    sdpa(parent, "boolean_heads", [5, 3], [2, 67], mask=some_keys)
    sdpa(parent, "boolean_grouped", [5, 1, 8], H=4, G=2, mask=some_keys)
    sdpa(parent, "additive", [5, 1, 8], bias=leaf)
    sdpa(parent, "additive_holes", [5, 3], [2, 67], bias=bias_with_holes)
    sdpa(parent, "additive_grouped", [5, 1, 8], [2, 7, 3], H=4, G=2, bias=leaf)


# ---- nn.MultiheadAttention: True drops -----------------------------------------------------------

D, HEADS = 12, 3


def multihead(parent, name, lengths, key_lengths=None, attn_mask=None, holes=False, widths=None):
    """Sentences padded to the longest; attn_mask makes a tensor from (B, T, S). With `holes` the
    key_padding_mask drops keys in the middle, too. `widths`: kdim and vdim."""
    case = Case(parent, name)
    kdim, vdim = widths or (None, None)
    layer = nn.MultiheadAttention(D, HEADS, batch_first=True, kdim=kdim, vdim=vdim)
    randomise(layer)
    x = {"query": leaf(sum(lengths), D)}
    query = key = value = pad(x["query"], lengths)
    of_keys = lengths
    if key_lengths:
        of_keys = key_lengths
        x["key"] = leaf(sum(of_keys), kdim or D)
        key = value = pad(x["key"], of_keys)
        if widths:
            x["value"] = leaf(sum(of_keys), vdim)
            value = pad(x["value"], of_keys)
        x["k_offsets"] = offsets(of_keys)
    drop = padding(of_keys)
    if holes:
        drop[:, 1::3] = True
        x["key_padding_mask"] = drop
    x["q_offsets"] = offsets(lengths)
    mask = attn_mask(len(lengths), max(lengths), max(of_keys)) if attn_mask else None
    if mask is not None:
        x["attn_mask"] = mask
    if mask is not None and mask.is_floating_point():  # one kind for both, as PyTorch wants
        drop = torch.zeros(drop.shape).masked_fill(drop, -torch.inf)
    y, weights = layer(query, key, value, key_padding_mask=drop, attn_mask=mask)
    fast, _ = layer(query, key, value, key_padding_mask=drop, attn_mask=mask, need_weights=False)
    y, weights = pack(y, lengths), pack(weights, lengths)
    must_agree(y, pack(fast, lengths), name)
    case.put("output", {"weights": weights})
    put_gradients(case, x, {"y": y}, layer)


def some_dropped(*shape):
    """True drops; no row is without keys: of those this module makes NaN."""
    mask = torch.rand(*shape) < 0.4
    mask[..., 0] = False
    return mask


def all_multihead(parent):
    multihead(parent, "self", [5, 1, 8])
    multihead(parent, "self_causal", [5, 1, 8], attn_mask=lambda B, T, S: causal_mask(T))
    multihead(parent, "cross", [5, 1, 8], [2, 7, 3])
    multihead(parent, "masked", [5, 1, 8], [4, 7, 3], attn_mask=lambda B, T, S: some_dropped(T, S), holes=True)
    multihead(parent, "masked_heads", [5, 1, 8],
              attn_mask=lambda B, T, S: some_dropped(B * HEADS, T, S))
    multihead(parent, "additive", [5, 1, 8], [4, 7, 3],
              attn_mask=lambda B, T, S: leaf(B * HEADS, T, S))
    multihead(parent, "widths", [5, 1, 8], [4, 7, 3], widths=(7, 5))


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("attention.h5")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with create_file(path) as file:
        all_sdpa(create_group(file, "sdpa"))
        all_multihead(create_group(file, "mha"))


if __name__ == "__main__":
    main()
