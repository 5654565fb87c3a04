#!/usr/bin/env python3
"""Train every kind of attention on one small task and write the table of docs/attention.md.

    variants.py WEFT [--data TEXT] [--updates N] [--set SECTION.KEY=VALUE]... [--write FILE]

A decoder-only model of characters (examples/shakespeare.ini) on a text such as tiny Shakespeare, or without --data
an encoder-decoder that reverses letters; the same seed and as many updates for each. Loss is that of the validation, speed
that of the log, memory what `weft plan` says of a step. A kind that the model cannot have is refused in its row.
"""
import argparse
import datetime
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

options = argparse.ArgumentParser()
options.add_argument("weft")
options.add_argument("--data")
options.add_argument("--updates", type=int, default=500)
options.add_argument("--set", action="append", default=[])
options.add_argument("--write", type=pathlib.Path)
args = options.parse_args()
ROOT = pathlib.Path(__file__).parent.parent


def weft(*arguments):
    return subprocess.run([args.weft, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def split(folder):
    """The first nine tenths of the text, and the rest."""
    path = pathlib.Path(args.data)
    text = (gzip.open(path, "rt") if path.suffix == ".gz" else path.open()).read()
    cut = text.rfind("\n", 0, len(text) * 9 // 10) + 1
    for name, part in (("train.txt", text[:cut]), ("valid.txt", text[cut:])):
        (folder / name).write_text(part)
    return [f"data.train={folder}/train.txt", f"data.valid={folder}/valid.txt"]


def train(kind, base, folder):
    settings = [f"model.attention={kind}", f"train.max_updates={args.updates}", "train.validate_every=0",
                "train.checkpoint_every=0", "train.log_every=10", *args.set]
    words = base + [word for s in settings for word in ("--set", s)]
    planned = weft("plan", *words, "--json")
    if planned.returncode != 0:
        return [kind, planned.stderr.strip().split(": ", 1)[-1], "", ""]
    out = folder / kind
    run = weft("train", *words, "--out", str(out))
    if run.returncode not in (0, 1):
        return [kind, run.stderr.strip().splitlines()[-1], "", ""]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if line["event"] == "validation"]
    speeds = sorted(line["tokens_per_s"] for line in log if "tokens_per_s" in line)
    return [kind, f"{losses[-1]:.3f}", f"{speeds[len(speeds) // 2]:,.0f}",
            f"{json.loads(planned.stdout)['plan']['step'] / 2**20:.1f}"]


def kinds():
    text = (ROOT / "docs" / "configuration.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `attention` |"))
    return re.findall(r"`([a-z_]+)`", row.split("|")[2])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder, rows = pathlib.Path(name), []
        if args.data:
            base = ["--config", str(ROOT / "examples" / "shakespeare.ini")]
            args.set += split(folder)
        else:
            base = ["--task", "reverse"]
        for kind in kinds():
            rows.append(train(kind, base, folder))
            print(rows[-1], file=sys.stderr, flush=True)
    task = "characters of a text, decoder alone" if args.data else "reversing letters, encoder and decoder"
    lines = [f"Measured on {datetime.date.today()}: {task}; {args.updates} updates each.", "",
             "| model.attention | validation loss | tokens/s | MiB of a step |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    if not args.write:
        return print("\n".join(lines))
    begin, end = "<!-- trained: bench/variants.py -->\n", "<!-- end of trained -->"
    head, rest = args.write.read_text().split(begin)
    args.write.write_text(head + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1])


main()
