#!/usr/bin/env python3
"""Train every kind of attention on one small task, or on long texts, and write the tables of docs/attention.md.

    variants.py WEFT [--data TEXT] [--part short|encoder|long|base]... [--only REGEX] [--updates N]
                     [--set SECTION.KEY=VALUE]... [--keep FILE] [--write FILE]

A decoder-only model of characters (examples/shakespeare.ini) on a text such as tiny Shakespeare; without --data on
a generated one. short: contexts of 64, every kind of attention, position and weights, as many updates for each from
one seed. encoder: the kinds that need an encoder, on the task `reverse`. long and base: a few updates with contexts
of 4,096, D 128 with 4 layers and D 512 with 6. Loss is that of the validation (short, encoder) or of the last update,
speed the median of the log, and beside it the ratio to full attention, which is trained for a while before each row,
so that a change of the machine meets both. Memory is what `weft plan` says and what the system measured at its
highest. --keep names a file that gathers rows, so that --only may make a table in pieces. A kind that the model
cannot have is refused in its row.
"""
import argparse
import datetime
import gzip
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

options = argparse.ArgumentParser()
options.add_argument("weft")
options.add_argument("--data")
options.add_argument("--part", action="append", choices=["short", "encoder", "long", "base"],
                     help="short, if none is named")
options.add_argument("--only", default="", help="rows whose name has this in it")
options.add_argument("--updates", type=int)
options.add_argument("--set", action="append", default=[])
options.add_argument("--keep", type=pathlib.Path)
options.add_argument("--write", type=pathlib.Path)
args = options.parse_args()
ROOT = pathlib.Path(__file__).parent.parent

# What makes a kind sparse where texts are short: the defaults would see all of them.
SMALL = {"window": ["window=16"], "dilated": ["window=16"], "strided": ["stride=8"],
         "fixed": ["stride=8", "summary=2"], "bigbird": ["block=8", "random_blocks=1", "global_blocks=1"],
         "blocks": ["block=8", "blocks=-4,-1,0"],
         "lsh": ["lsh_chunk=16"], "performer": ["features=64"], "longformer": ["window=16", "global_tokens=1"],
         "probsparse": ["probsparse_factor=3"], "probsparse_causal": ["probsparse_factor=3"]}
LARGE = {"longformer": ["global_tokens=1"], "strided": ["stride=64"], "fixed": ["stride=64"]}
OTHERS = [["position=rope"], ["position=alibi"], ["position=t5"], ["position=shaw"], ["position=none"],
          ["attention_weights=sigmoid"], ["kv_heads=1"]]
ENCODER = [["attention=full"], ["attention=linformer", "linformer_length=257", "linformer_k=8"],
           ["attention=longformer", "window=8", "global_tokens=1"]]
LONG_KINDS = ["full", "window", "bigbird", "lsh", "linear", "performer", "strided", "dilated", "probsparse_causal"]
LONG = ["data.max_length=4096", "train.batch_tokens=4096", "model.position=sinusoidal", "optim.warmup=2",
        "train.log_every=1"]
PARTS = {"short": (["data.max_length=64", "train.batch_tokens=768", "optim.warmup=20", "train.log_every=10"], 300, 40),
         "encoder": (["optim.warmup=20", "train.log_every=10"], 1000, 100),
         "long": (LONG, 8, 3),
         "base": (LONG + ["model.d_model=512", "model.ffn=2048", "model.heads=8", "model.decoder_layers=6"], 3, 3)}


def kinds():
    text = (ROOT / "docs" / "configuration.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `attention` |"))
    return re.findall(r"`([a-z_]+)`", row.split("|")[2])


def rows(part):
    """Name and settings of each row."""
    if part == "encoder":
        return [(", ".join(s).removeprefix("attention="), s) for s in ENCODER]
    if part != "short":
        return [(kind, [f"attention={kind}"] + LARGE.get(kind, [])) for kind in LONG_KINDS]
    named = [[f"attention={kind}"] + SMALL.get(kind, []) for kind in kinds()]
    return [(", ".join(s).removeprefix("attention="), s) for s in named] + [(", ".join(s), s) for s in OTHERS]


def split(folder):
    """The first nine tenths of the text, and the rest."""
    if args.data:
        path = pathlib.Path(args.data)
        text = (gzip.open(path, "rt") if path.suffix == ".gz" else path.open()).read()
    else:
        draw = random.Random(1)
        words = ["".join(draw.choices("abcdefghij", k=draw.randint(1, 7))) for _ in range(500)]
        text = "".join(" ".join(draw.choices(words, k=9)) + "\n" for _ in range(8000))
    cut = text.rfind("\n", 0, len(text) * 9 // 10) + 1
    for name, part in (("train.txt", text[:cut]), ("valid.txt", text[cut:])):
        (folder / name).write_text(part)


def train(part, folder, settings, updates):
    """One run: its log, plan and highest memory in MiB, or the sentence that refuses it."""
    text = ["--config", str(ROOT / "examples" / "shakespeare.ini"), "--set", f"data.train={folder}/train.txt"]
    words = ["--task", "reverse"] if part == "encoder" else text
    for s in [f"train.max_updates={updates}", "train.validate_every=0", "train.checkpoint_every=0",
              *settings, *args.set]:
        words += ["--set", s]
    plan = subprocess.run([args.weft, "plan", *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if plan.returncode != 0:
        return plan.stderr.strip().split(": ", 1)[-1]
    out = tempfile.mkdtemp(dir=folder) + "/run"
    run = subprocess.Popen([args.weft, "train", *words, "--out", out], stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    said = run.stderr.read()
    _, status, usage = os.wait4(run.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        return said.strip().splitlines()[-1]
    log = [json.loads(line) for line in pathlib.Path(out, "log.jsonl").read_text().splitlines()]
    speeds = sorted(line["tokens_per_s"] for line in log if "tokens_per_s" in line)
    losses = [line["loss"] for line in log if line["event"] in ("train", "validation")]
    planned = json.loads(plan.stdout)
    return {"loss": losses[-1], "speed": speeds[len(speeds) // 2], "peak": usage.ru_maxrss / 1024,
            "step": planned["plan"]["step"] / 2**20,
            "all": (planned["plan"]["step"] + sum(planned[k] for k in ("libraries", "texts", "checkpoint"))) / 2**20}


def measure(part, name, settings, folder):
    base, updates, beside = PARTS[part]
    updates = args.updates or updates
    full = train(part, folder, base, beside)
    if isinstance(full, str):
        sys.exit(f"{part}: full attention is refused: {full}")
    valid = [f"data.valid={folder}/valid.txt"] if part == "short" else []
    row = train(part, folder, base + valid + [f"model.{s}" for s in settings], updates)
    if isinstance(row, str):
        return {"refused": row}
    return {**row, "updates": updates, "ratio": row["speed"] / full["speed"]}


def table(part, kept):
    known = [(name, kept[f"{part} {name}"]) for name, _ in rows(part) if f"{part} {name}" in kept]
    updates = max((row.get("updates", 0) for _, row in known), default=0)
    task = "the task reverse" if part == "encoder" else "characters of a text" if args.data else "a generated text"
    loss = "validation loss" if part in ("short", "encoder") else "loss"
    lines = [f"Measured on {datetime.date.today()}: {task}, {updates} updates each; `to full` is the speed beside full "
             "attention's, trained just before the row.", "",
             f"| model. | {loss} | tokens/s | to full | MiB of a step | planned, all | measured peak |", "|---" * 7 + "|"]
    for name, row in known:
        if "refused" in row:
            lines.append(f"| {name} | refused: {row['refused']} | | | | | |")
        else:
            lines.append(f"| {name} | {row['loss']:.3f} | {row['speed']:,.0f} | {row['ratio']:.2f} | {row['step']:.1f} | "
                         f"{row['all']:.0f} | {row['peak']:.0f} |")
    return "\n".join(lines)


def put(part, text):
    if not args.write:
        return print(text)
    begin, end = f"<!-- trained: bench/variants.py {part} -->\n", f"<!-- end of {part} -->"
    head, rest = args.write.read_text().split(begin)
    args.write.write_text(head + begin + text + "\n" + end + rest.split(end, 1)[1])


def main():
    kept = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    for part in args.part or ["short"]:
        for name, settings in rows(part):
            if not re.search(args.only, name):
                continue
            with tempfile.TemporaryDirectory() as folder:
                split(pathlib.Path(folder))
                kept[f"{part} {name}"] = row = measure(part, name, settings, pathlib.Path(folder))
            print(part, name, row, file=sys.stderr, flush=True)
            if args.keep:
                args.keep.write_text(json.dumps(kept, indent=1))
        put(part, table(part, kept))


main()
