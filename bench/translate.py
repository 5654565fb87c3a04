#!/usr/bin/env python3
"""Translate the same sentences with weft and with CTranslate2 (of the same weights), compare and time both.

    translate.py WEFT --model DIR --source FILE [--beam K]... [--batch-tokens N]... [--rounds N] [--threads N]
                   [--write FILE]

Needs the packages ctranslate2, h5py and numpy. A model that translates, with softmax over all keys, sinusoidal
positions and ReLU, is converted into a folder for the time of the run: the weights as they are, in float32. First
both translate with each beam, and must say the same tokens; scores differ by rounding alone. CTranslate2's
length_penalty A is weft's `--penalty power --length-penalty A`: log p / L^A, where L counts </s>.

Then each round times weft (`weft bench translate`: a pass over all sentences after one that does not count) and
CTranslate2 (translate_batch, tokens in and tokens out, after a pass of its own), one after the other. --write puts
the table between its marks in FILE.
"""
import argparse
import configparser
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

options = argparse.ArgumentParser()
options.add_argument("weft")
options.add_argument("--model", required=True)
options.add_argument("--source", required=True, help="sentences, one a line")
options.add_argument("--beam", type=int, action="append")
options.add_argument("--batch-tokens", type=int, action="append")
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
options.add_argument("--max-length", type=int, default=80)
options.add_argument("--write", type=pathlib.Path)
args = options.parse_args()

import ctranslate2
import h5py
import numpy as np

BEGIN, END = "<!-- measured by bench/translate.py -->", "<!-- end -->"


def fail(why):
    sys.exit(f"translate.py: {why}")


# ---- converting ---------------------------------------------------------------------------------


class Weights:
    """Parameters by name; what is asked for is noted."""

    def __init__(self, file):
        self.arrays = {name: data[()].astype(np.float32) for name, data in file["params"].items()}
        self.used = set()

    def __call__(self, name):
        self.used.add(name)
        return self.arrays[name]

    def linear(self, to, weight, bias, rows=slice(None)):
        to.weight, to.bias = np.ascontiguousarray(self(weight)[rows]), np.ascontiguousarray(self(bias)[rows])

    def norm(self, to, name):
        to.gamma, to.beta = self(name + ".weight"), self(name + ".bias")

    def attention(self, to, name, norm, D=None):
        """Self-attention has q, k and v in one product, cross-attention (with D) has q apart."""
        inner, outer = [name + ".in_proj_weight", name + ".in_proj_bias"], [name + ".out_proj.weight", name + ".out_proj.bias"]
        if D is None:
            self.linear(to.linear[0], *inner)
        else:
            self.linear(to.linear[0], *inner, slice(0, D))
            self.linear(to.linear[1], *inner, slice(D, None))
        self.linear(to.linear[-1], *outer)
        self.norm(to.layer_norm, norm)

    def feedforward(self, to, name, norm):
        for i, linear in enumerate((to.linear_0, to.linear_1), 1):
            self.linear(linear, f"{name}.linear{i}.weight", f"{name}.linear{i}.bias")
        self.norm(to.layer_norm, norm)


def config_of(file):
    config = configparser.ConfigParser()
    config.read_string(file["text/config"][()].tobytes().decode())
    model = config["model"]
    for key, wanted in {"kind": ["encoder-decoder"], "activation": ["relu"], "norm": ["post", "pre"],
                        "norm_kind": ["layer"], "position": ["sinusoidal"], "attention": ["full"],
                        "embed_scale": ["true"], "mixer": ["attention"]}.items():
        if model.get(key, wanted[0]) not in wanted:
            fail(f"model.{key} = {model[key]}: only {' or '.join(wanted)} can be converted here")
    if (model["norm"] == "pre") != (model["final_norm"] == "true"):
        fail("CTranslate2 has a final norm with model.norm = pre, and none with post")
    return model


def convert(path, folder):
    with h5py.File(path) as file:
        model, weights, text = config_of(file), Weights(file), file["text"]
        vocab = {side: text[f"{side}_vocab"][()].tobytes().decode() for side in ("source", "target") if f"{side}_vocab" in text}
    layers = int(model["encoder_layers"]), int(model["decoder_layers"])
    spec = ctranslate2.specs.TransformerSpec.from_config(layers, int(model["heads"]), pre_norm=model["norm"] == "pre")
    target = "tgt_embed.weight" if "tgt_embed.weight" in weights.arrays else "src_embed.weight"
    spec.encoder.embeddings[0].weight = weights("src_embed.weight")
    spec.decoder.embeddings.weight = weights(target)
    spec.decoder.projection.weight = weights("generator.weight" if "generator.weight" in weights.arrays else target)
    D = weights(target).shape[1]
    angle = np.arange(1024)[:, None] / 10000 ** (np.arange(0, D, 2) / D)
    for side, part in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        part.position_encodings.encodings = np.stack((np.sin(angle), np.cos(angle)), 2).reshape(1024, D).astype(np.float32)
        if model["norm"] == "pre":
            weights.norm(part.layer_norm, f"{side}.norm")
        for i, layer in enumerate(part.layer):
            name = f"{side}.layers.{i}"
            weights.attention(layer.self_attention, name + ".self_attn", name + ".norm1")
            if side == "decoder":
                weights.attention(layer.attention, name + ".multihead_attn", name + ".norm2", D)
            weights.feedforward(layer.ffn, name, name + (".norm3" if side == "decoder" else ".norm2"))
    left = set(weights.arrays) - weights.used
    if left:
        fail(f"parameters that have no place in CTranslate2's model: {sorted(left)}")
    spec.register_source_vocabulary(tokens_of(vocab.get("source", vocab["target"])))
    spec.register_target_vocabulary(tokens_of(vocab["target"]))
    spec.config.add_source_eos, spec.config.decoder_start_token = True, "<s>"
    spec.config.layer_norm_epsilon = float(model["norm_eps"])
    spec.validate()
    spec.optimize()
    os.mkdir(folder)
    spec.save(folder)


def tokens_of(vocab):
    """A vocabulary as weft writes it: a line of options, merges, tokens in the order of their ids."""
    head, *lines = vocab.split("\n")[:-1]
    n_merges = int(dict(option.split("=") for option in head.split() if "=" in option).get("merges", 0))
    return lines[n_merges:]


# ---- comparing and timing -----------------------------------------------------------------------


def run(command, **more):
    done = subprocess.run([args.weft, *map(str, command)], stdout=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        fail(f"weft {command[0]} ended with exit code {done.returncode}")
    return done.stdout


def weft_says(beam, folder):
    """Tokens of each sentence and of its translation, and its score."""
    maps = os.path.join(folder, "maps.h5")
    with open(args.source) as source:
        lines = run(["translate", "--model", args.model, "--beam", beam, "--penalty", "power", "--max-length", args.max_length,
                     "--n-best", 1, "--attention", maps, "--attention-layer", 0, "--attention-head", 0], stdin=source)
    scores = {int(line.split("\t")[0]): float(line.split("\t")[1]) for line in lines.splitlines()}
    with h5py.File(maps) as file:
        numbers = sorted(map(int, file["sentences"]))
        read, said = ([list(file[f"sentences/{n}/{what}"].asstr()[:-1]) for n in numbers] for what in ("source", "said"))
    return read, said, [scores[n] for n in numbers]


def same(translator, beam, folder):
    """The source in tokens, after a look whether both say the same."""
    source, said, scores = weft_says(beam, folder)
    results = translate(translator, source, beam, 1024)
    equal = sum(result.hypotheses[0] == words for result, words in zip(results, said))
    apart = max(abs(result.scores[0] - score) for result, score in zip(results, scores))
    print(f"beam {beam}: {equal} of {len(source)} translations have the same tokens, scores differ by {apart:.1e} at most",
          file=sys.stderr)
    if equal < 0.99 * len(source): # where two hypotheses are equally good, rounding decides
        fail("these are not the same models")
    return source, equal


def translate(translator, source, beam, batch_tokens):
    return translator.translate_batch(source, beam_size=beam, length_penalty=1, max_batch_size=batch_tokens,
                                      batch_type="tokens", max_decoding_length=args.max_length, return_scores=True)


def rounds(translator, source, beam, batch_tokens):
    """Tokens a second of both, one pair a round."""
    speeds = []
    translate(translator, source, beam, batch_tokens)
    for _ in range(args.rounds):
        ours = json.loads(run(["bench", "translate", "--model", args.model, "--source", args.source, "--beam", beam, "--penalty",
                               "power", "--length-penalty", 1, "--max-length", args.max_length, "--batch-tokens", batch_tokens,
                               "--threads", args.threads, "--passes", 1, "--json"]))
        start = time.perf_counter()
        results = translate(translator, source, beam, batch_tokens)
        seconds = time.perf_counter() - start
        n_said = sum(len(result.hypotheses[0]) + 1 for result in results)
        speeds.append((ours["tokens_per_s"], n_said / seconds))
        time.sleep(0.5)  # threads that spin must not meet weft's
    return speeds


def main():
    model = args.model if os.path.isfile(args.model) else os.path.join(args.model, "best.h5")
    with tempfile.TemporaryDirectory() as folder:
        convert(model, os.path.join(folder, "model"))
        translator = ctranslate2.Translator(os.path.join(folder, "model"), device="cpu", inter_threads=1,
                                            intra_threads=args.threads, compute_type="float32")
        rows, agreed = [], []
        for beam in args.beam or [4, 1]:
            source, equal = same(translator, beam, folder)
            agreed.append(f"{equal} of {len(source)} with beam {beam}")
            for batch_tokens in args.batch_tokens or [1024, 4096]:
                speeds = rounds(translator, source, beam, batch_tokens)
                ours, theirs = (max(side) for side in zip(*speeds))
                rows.append(f"| {beam} | {batch_tokens} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")
                print(rows[-1], file=sys.stderr)
    linux = ".".join(platform.release().split(".")[:2])
    table = [f"Measured on {datetime.date.today()}: CTranslate2 {ctranslate2.__version__}, float32, {args.threads} threads, Linux "
             f"{linux}, {len(source)} sentences, the quickest of {args.rounds} rounds. The same translations: {', '.join(agreed)}.", "",
             "| beam | tokens a batch | weft, tokens/s | CTranslate2, tokens/s | weft / CTranslate2 |",
             "|---|---|---|---|---|", *rows]
    if not args.write:
        print("\n".join(table))
        return
    before, rest = args.write.read_text().split(BEGIN + "\n")
    args.write.write_text("\n".join([before + BEGIN, *table, END + rest.split(END, 1)[1]]))


main()
