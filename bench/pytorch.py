#!/usr/bin/env python3
"""PyTorch on the workloads of `weft bench step`, for bench/compare.py.

    pytorch.py WORKLOAD THREADS [--compile]   a line N on the standard input: N steps, answered by their times
    pytorch.py products THREADS               products as `weft bench gemm --json` prints them, timed alone
    pytorch.py attention THREADS              a line N on the standard input: milliseconds of causal attention of one
                                              sentence of N tokens, 8 heads of 64, forward and with backward

The models have the sizes, dropout and tying of cli/bench_step.c; tiny's batches are cut from the same lengths.
"""
import argparse
import json
import math
import os
import pathlib
import random
import re
import resource
import statistics
import sys
import time

options = argparse.ArgumentParser()
options.add_argument("workload", choices=["tiny", "base", "gpt", "products", "attention"])
options.add_argument("threads", type=int)
options.add_argument("--compile", action="store_true")
args = options.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)

import torch
import torch.nn as nn
import torch.nn.functional as F

PAD = 0
torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Translator(nn.Module):
    """Post-norm encoder and decoder, all embeddings shared."""

    def __init__(self, D, F, heads, layers, V, p):
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        nn.init.normal_(self.embedding.weight, 0, D**-0.5)
        self.body = nn.Transformer(D, heads, layers, layers, F, p, batch_first=True)
        self.dropout = nn.Dropout(p)
        position, i = torch.arange(512)[:, None].float(), torch.arange(0, D, 2).float()
        angle = position / 10000 ** (i / D)
        self.register_buffer("positions", torch.stack((angle.sin(), angle.cos()), 2).view(512, D))

    def embed(self, ids):
        scaled = self.embedding(ids) * math.sqrt(self.positions.shape[1])
        return self.dropout(scaled + self.positions[: ids.shape[1]])

    def forward(self, source, target):
        later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        hidden = self.body(
            self.embed(source), self.embed(target), tgt_mask=later, src_key_padding_mask=source == PAD,
            tgt_key_padding_mask=target == PAD, memory_key_padding_mask=source == PAD)
        return hidden @ self.embedding.weight.t()


class Block(nn.Module):
    def __init__(self, D, F, heads):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.wide, self.narrow = nn.Linear(D, F), nn.Linear(F, D)

    def forward(self, x):
        B, T, D = x.shape
        qkv = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, D // self.heads)
        mixed = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(B, T, D))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class Decoder(nn.Module):
    """Pre-norm, decoder alone."""

    def __init__(self, D, F, heads, layers, V, T):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks, self.norm = nn.ModuleList(Block(D, F, heads) for _ in range(layers)), nn.LayerNorm(D)

    def forward(self, source, target):
        x = self.embedding(target) + self.positions.weight[: target.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.embedding.weight.t()


def tiny_batches():
    """Pairs in the order of their lengths, at most 4,096 padded tokens a batch, the batches shuffled."""
    table = (pathlib.Path(__file__).parent.parent / "cli" / "multi30k_lengths.h").read_text()
    pairs = [(int(s), int(t)) for s, t, n in re.findall(r"{ *(\d+), *(\d+), *(\d+) *}", table) for _ in range(int(n))]
    batches, batch, longest = [], [], 0
    for pair in pairs:
        if max(longest, *pair) * (len(batch) + 1) > 4096:
            batches.append(batch)
            batch, longest = [], 0
        batch.append(pair)
        longest = max(longest, *pair)
    batches.append(batch)
    random.Random(1).shuffle(batches)
    while True:
        for batch in batches:
            source = torch.full((len(batch), max(s for s, _ in batch)), PAD)
            target = torch.full((len(batch), max(t for _, t in batch) + 1), PAD)
            for row, (s, t) in enumerate(batch):
                source[row, :s], target[row, : t + 1] = torch.randint(4, 9712, (s,)), torch.randint(4, 9712, (t + 1,))
            yield source, target


def equal_batches(B, T):
    while True:
        yield torch.randint(4, 8000, (B, T)), torch.randint(4, 8000, (B, T + 1))


def train():
    if args.workload == "tiny":
        model, batches = Translator(128, 256, 4, 4, 9712, 0.3), tiny_batches()
    elif args.workload == "base":
        model, batches = Translator(512, 2048, 8, 6, 8000, 0.1), equal_batches(16, 64)
    else:
        model, batches = Decoder(256, 1024, 8, 6, 8000, 128), equal_batches(8, 128)
    smoothing = 0.0 if args.workload == "gpt" else 0.1
    adam = torch.optim.Adam(model.parameters(), 1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
    run = torch.compile(model, dynamic=args.workload == "tiny") if args.compile else model
    for line in sys.stdin:
        times, tokens = [], 0
        for _ in range(int(line)):
            source, target = next(batches)
            start = time.perf_counter()
            adam.zero_grad(set_to_none=True)
            logits, labels = run(source, target[:, :-1]), target[:, 1:]
            F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=PAD,
                            label_smoothing=smoothing).backward()
            adam.step()
            times.append(time.perf_counter() - start)
            tokens += int((labels != PAD).sum())
        print(json.dumps({"ms": 1e3 * statistics.median(times), "tokens_per_s": tokens / sum(times),
                          "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                          "version": torch.__version__,
                          "params": sum(p.numel() for p in model.parameters())}), flush=True)


def products():
    ms = {}
    for line in sys.stdin:
        p = json.loads(line)
        if "product" not in p:
            continue
        M, N, K = p["M"], p["N"], p["K"]
        A, B, C = torch.rand(M, K) - 0.5, torch.rand(K, N) - 0.5, torch.rand(M, N)
        if p["product"].endswith("W^T"):
            B = (torch.rand(N, K) - 0.5).t()
        elif "dW" in p["product"]:
            A = (torch.rand(K, M) - 0.5).t()
        times = []
        for _ in range(6):
            start = time.perf_counter()
            if "dW" in p["product"]:
                C.addmm_(A, B)
            else:
                torch.mm(A, B, out=C)
            times.append(time.perf_counter() - start)
        ms[p["workload"]] = ms.get(p["workload"], 0) + 1e3 * p["count"] * statistics.median(times[1:])
    print(json.dumps(ms))


def attention():
    """Beside `weft bench attention`: as long a warm-up, as many runs."""
    for line in sys.stdin:
        q, k, v = (torch.randn(1, 8, int(line), 64, requires_grad=True) for _ in range(3))
        dy = torch.randn(1, 8, int(line), 64)
        medians = []
        for backward in (False, True):
            times, begin = [], time.perf_counter()
            while len(times) < 3 or time.perf_counter() - begin < 1:
                start = time.perf_counter()
                with torch.set_grad_enabled(backward):
                    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                if backward:
                    q.grad = k.grad = v.grad = None
                    y.backward(dy)
                times.append(time.perf_counter() - start)
            medians.append(1e3 * statistics.median(times[1:]))
        print(json.dumps({"forward_ms": medians[0], "ms": medians[1], "version": torch.__version__}), flush=True)


{"products": products, "attention": attention}.get(args.workload, train)()
