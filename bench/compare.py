#!/usr/bin/env python3
"""Measure weft beside PyTorch and write the tables of docs/performance.md and docs/attention.md.

    compare.py WEFT [--part steps|growth|start|attention]... [--rounds N] [--steps N] [--workload W]...
                    [--write FILE]...

Everything alternates: in each round weft's step and PyTorch's, eager and compiled, run after one another, so that
a change of the machine meets all of them. Medians over the rounds. WEFT_PYTHON, or else this Python, is asked
for torch; without it weft is measured alone. --write puts each part between its marks in one of the FILEs; a part that
has none there is printed.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

options = argparse.ArgumentParser()
options.add_argument("weft")
options.add_argument("--part", action="append", choices=["steps", "growth", "start", "attention"],
                     help="all, if none is named")
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--steps", type=int, default=8)
options.add_argument("--workload", action="append", choices=["tiny", "base", "gpt"])
options.add_argument("--growth-steps", type=int, default=2, help="steps of each of two passes")
options.add_argument("--multi30k", type=pathlib.Path, help="folder with train.en.gz and train.de.gz",
                     default=pathlib.Path(__file__).resolve().parents[2] / "shared/data/multi30k")
options.add_argument("--write", type=pathlib.Path, action="append", default=[])
args = options.parse_args()
PEER = pathlib.Path(__file__).with_name("pytorch.py")
PYTHON = os.environ.get("WEFT_PYTHON", sys.executable)
THREADS = len(os.sched_getaffinity(0))


def say(text):
    print(text, file=sys.stderr, flush=True)


def weft(*arguments):
    command = [args.weft, "bench", *map(str, arguments), "--json"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


class Peer:
    """A PyTorch process that stays: it compiles once, and its memory is its own."""

    def __init__(self, workload, compiled):
        self.answers = []
        command = [PYTHON, PEER, workload, str(THREADS)] + ["--compile"] * compiled
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.alive = self.ask(3) is not None  # warm-up, compilation

    def ask(self, n_steps):
        try:
            self.process.stdin.write(f"{n_steps}\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            return None

    def run(self):
        answer = self.ask(args.steps) if self.alive else None
        if answer:
            self.answers.append(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def median(results, key):
    return statistics.median(r[key] for r in results)


def has_torch():
    there = subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0
    if not there:
        say("no torch here (WEFT_PYTHON names a Python that has it): weft alone")
    return there


def cpuinfo():
    """What Linux says of the processor; elsewhere nothing."""
    path = pathlib.Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def measure(workload, torch):
    """Rounds of one workload: weft's results at all threads, in bf16, and at one, and the peers with theirs."""
    peers = {"eager": Peer(workload, False), "compiled": Peer(workload, True)} if torch else {}
    many, half, one = [], [], []
    bf16 = "avx512_bf16" in cpuinfo()
    for turn in range(args.rounds):
        say(f"{workload}: round {turn + 1} of {args.rounds}")
        many += weft("step", "--workload", workload, "--steps", args.steps)
        if bf16:
            half += weft("step", "--workload", workload, "--steps", args.steps, "--precision", "bf16")
        for peer in peers.values():
            peer.run()
        one += weft("step", "--workload", workload, "--steps", max(2, args.steps // 2), "--threads", 1)
    for peer in peers.values():
        peer.close()
    return many, half, one, {name: peer.answers for name, peer in peers.items() if peer.answers}


def torch_products():
    lines = subprocess.run([args.weft, "bench", "gemm", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    done = subprocess.run([PYTHON, PEER, "products", str(THREADS)], input=lines, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def machine():
    model = platform.machine()
    for line in cpuinfo().splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    return f"{model}, {THREADS} threads"


def conditions():
    kernel = weft("gemm")[0]["gemm"]
    linux = ".".join(platform.release().split(".")[:2])
    return f"Measured on {datetime.date.today()}: {machine()}; {kernel}; Linux {linux}."


def steps():
    torch = has_torch()
    lines, step_rows, peer_rows = [], [], []
    products = torch_products() if torch else {}
    for workload in args.workload or ["tiny", "base", "gpt"]:
        many, half, one, peers = measure(workload, torch)
        ms, gemm_ms = median(many, "ms"), median(many, "gemm_ms")
        gain, gemm_gain = median(one, "ms") / ms, median(one, "gemm_ms") / gemm_ms
        tokens, MiB = median(many, "tokens_per_s"), median(many, "peak_MiB")
        ratio = statistics.median(r["ms"] / r["gemm_ms"] for r in many)
        step_rows.append([workload, f"{ms:.1f}", f"{gemm_ms:.1f}", f"{ratio:.2f}", f"{tokens:.0f}",
                          f"{gain:.2f}", f"{gemm_gain:.2f}", f"{gain / gemm_gain:.2f}", f"{MiB:.0f}"]
                         + ([f"{median(half, 'ms'):.1f}", f"{ms / median(half, 'ms'):.2f}"] if half else ["", ""]))
        for name, answers in peers.items():
            speed = median(answers, "tokens_per_s")
            peer_rows.append([workload, name, answers[0]["version"], f"{median(answers, 'ms'):.1f}", f"{speed:.0f}",
                              f"{tokens / speed:.2f}", f"{ratio * tokens / speed:.2f}",
                              f"{median(half, 'tokens_per_s') / speed:.2f}" if half else "",
                              f"{products.get(workload, 0) / gemm_ms:.2f}",
                              f"{median(answers, 'peak_MiB'):.0f}", f"{MiB / median(answers, 'peak_MiB'):.2f}"])
    lines += [f"{conditions()} Medians of {args.rounds} alternating rounds of {args.steps} steps.", ""]
    lines += table(["workload", "ms a step", "its products, ms", "ratio", "target tokens/s", "gain of all threads over one",
                    "the products' gain", "of that", "peak MiB", "bf16, ms", "bf16 is faster"], step_rows)
    if peer_rows:
        lines += [""] + table(["workload", "PyTorch", "version", "ms a step", "target tokens/s", "weft is faster",
                               "its products alone would be", "weft in bf16", "its products over ours", "peak MiB",
                               "weft's memory of it"], peer_rows)
    return lines


# The gpt workload (8 sentences of 128 tokens, D 256, 6 layers) with one size changed at a time.
GROWTH = {
    "tokens": {n: ["--sentences", n // 128] for n in (512, 1024, 2048, 4096, 8192, 16384)},
    "D": {d: ["--D", d] for d in (64, 128, 256, 512, 1024)},
    "layers": {n: ["--layers", n] for n in (1, 2, 3, 6, 12)},
    "length": {n: ["--length", n, "--sentences", 4096 // n] for n in (16, 64, 256, 1024, 4096)},
    "threads": {n: ["--length", 128, "--threads", n] for n in range(1, THREADS + 1)},
}


def profiled_step(*arguments):
    """A measured step, and which part of it attention takes."""
    result, *operations, step = weft("step", "--profile", *arguments)
    return result, sum(row["ms"] for row in operations if row["operation"] == "attention") / step["ms"]


def measure_growth():
    """The quickest step of each size, over two passes in opposite order: what other work on the machine takes away
    seldom comes twice. With it the attention's part of that run's time."""
    best = {}
    sizes = [(name, value) for name, values in GROWTH.items() for value in values]
    for name, value in sizes + sizes[::-1]:
        result, attention = profiled_step("--workload", "gpt", "--steps", args.growth_steps, *GROWTH[name][value])
        say(f"growth: {name} {value}: {result['ms_min']} ms")
        if (name, value) not in best or result["ms_min"] < best[name, value]["ms_min"]:
            best[name, value] = {**result, "attention": attention}
    return best


def growth():
    best = measure_growth()
    ms = {size: result["ms_min"] for size, result in best.items()}
    attention = {n: ms["length", n] * best["length", n]["attention"] for n in GROWTH["length"]}
    rest = statistics.median(ms["length", n] - attention[n] for n in attention)
    a_layer, no_layer = statistics.linear_regression(GROWTH["layers"], [ms["layers", n] for n in GROWTH["layers"]])
    a_token, no_token = statistics.linear_regression(attention, attention.values())
    rows, full = [], []
    for (name, value), result in best.items():
        n_tokens = {"tokens": value, "length": 4096}.get(name, 1024)
        speed = 1e3 * n_tokens / ms[name, value]
        full += [speed] if name == "tokens" and value >= 1024 else []
        predicted = f"{no_layer + a_layer * value:.1f} ms" if name == "layers" else ""
        if name == "length":
            part = no_token + a_token * value
            predicted = f"attention {100 * part / (part + rest):.1f} %"
        rows.append([name, f"{value:,}", f"{ms[name, value]:.1f}", f"{speed:.0f}",
                     f"{100 * result['attention']:.1f}", predicted, result["peak_MiB"]])
    return [conditions() + " gpt (8 sentences of 128 tokens, D 256, 6 layers) with one size changed; `length` with 4,096 "
            f"tokens a batch. The quickest of {2 * args.growth_steps} steps.", ""] + table(
        ["changed", "to", "ms a step", "tokens/s", "attention, %", "predicted", "peak MiB"], rows) + [
        "", f"- From 1,024 to 16,384 tokens a batch the least tokens/s are {min(full) / max(full):.2f} of the most.",
        f"- Predicted are {no_layer:.1f} ms + {a_layer:.1f} ms a layer; and, at 4,096 tokens, for attention "
        f"{no_token:.0f} ms + {a_token:.3f} ms times the length beside {rest:.0f} ms for all else."]


CONFIG = """[data]
train = {train}
src = en
tgt = de
vocab = bpe
merges = 10000
bpe_dropout = {dropout}
[model]
d_model = 128
ffn = 256
heads = 4
encoder_layers = 4
decoder_layers = 4
[train]
max_updates = {updates}
batch_tokens = 4096
checkpoint_every = {updates}
"""


def train(dropout, updates):
    """The log of a run on 29,000 pairs."""
    with tempfile.TemporaryDirectory() as folder:
        config, out = pathlib.Path(folder, "start.ini"), pathlib.Path(folder, "run")
        config.write_text(CONFIG.format(train=args.multi30k / "train", dropout=dropout, updates=updates))
        subprocess.run([args.weft, "train", "--config", config, "--out", out], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def learn():
    """Seconds for 10,000 merges from both languages: reading, counting, learning."""
    inputs = [f"--input={args.multi30k}/train.{language}.gz" for language in ("en", "de")]
    begin = time.perf_counter()
    subprocess.run([args.weft, "bpe", "learn", *inputs, "--merges", "10000", "--tokenise", "punct"], check=True,
                   stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def start():
    """What comes before a run's first step, and what steps wait for in a little more than an epoch."""
    if not (args.multi30k / "train.en.gz").exists():
        say(f"{args.multi30k} has no train.en.gz: the start is not measured")
        return None
    rows, updates = [], 150
    for dropout in (0, 0.1):
        starts = [train(dropout, 1)[0] for _ in range(args.rounds)]
        begin, *_, end = train(dropout, updates)
        rows.append([dropout, f"{begin['train_items']:,}", begin["batches"], f"{median(starts, 'read_s'):.2f}",
                     f"{median(starts, 'start_s'):.2f}", updates, f"{1e3 * end['waited_s']:.1f}"])
    learning_s = statistics.median(learn() for _ in range(args.rounds))
    return [f"{conditions()} Multi30k, 10,000 merges learnt from both languages, the model of `tiny`; medians of "
            f"{args.rounds} starts.", ""] + table(
        ["BPE-dropout", "pairs", "batches", "reading, BPE and batches, s", "all else before the first step, s",
         "updates", "these waited for batches, ms in all"], rows) + [
        "", f"`weft bpe learn` takes {learning_s:.2f} s for 10,000 merges from these {2 * begin['train_items']:,} "
        "sentences, reading and counting included (aim: 10)."]


def attention():
    """Tiled causal attention, full and in a window, beside PyTorch's kernel; then all kinds by their growth."""
    peer = None
    if has_torch():
        peer = subprocess.Popen([PYTHON, PEER, "attention", str(THREADS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
    rows, version = [], ""
    for n in (512, 1024, 2048, 4096, 8192, 16384):
        ours, theirs, window = [], [], []
        for _ in range(args.rounds):
            ours += weft("attention", "--causal", "--n", n)
            window += weft("attention", "--causal", "--variant", "window", "--n", n)
            if peer:
                peer.stdin.write(f"{n}\n")
                peer.stdin.flush()
                theirs.append(json.loads(peer.stdout.readline()))
        row = [f"{n:,}", f"{median(ours, 'forward_ms'):.1f}", f"{median(ours, 'ms'):.1f}", f"{median(window, 'ms'):.1f}",
               f"{median(ours, 'ms') / median(window, 'ms'):.1f}", f"{median(ours, 'bytes') / 2**20:.1f}"]
        if theirs:
            version = theirs[0]["version"]
            row += [f"{median(theirs, 'forward_ms'):.1f}", f"{median(theirs, 'ms'):.1f}",
                    f"{median(theirs, 'ms') / median(ours, 'ms'):.2f}"]
        say(f"attention: {n}: {row[2]} ms")
        rows.append(row)
    if peer:
        peer.stdin.close()
        peer.wait()
    head = ["tokens", "forward, ms", "and backward", "window of 256", "full over window", "MiB"]
    if version:
        head += [f"PyTorch {version}: forward", "and backward", "full is faster"]
    lines = [f"Measured on {datetime.date.today()}: {machine()}. 8 heads of 64, causal, one sentence; medians of "
             f"{args.rounds} alternating rounds.", ""] + table(head, rows)
    kinds, last = [], {}
    for result in weft("attention", "--variant", "all", "--causal", "--n", "2048..16384"):
        if "n" in result:
            last = result
        else:
            kinds.append([result["variant"], f"{last['forward_ms']:.1f}", f"{last['ms']:.1f}", f"{last['bytes'] / 2**20:.1f}",
                          f"n^{result['time_exponent']:.2f}", result["claimed_time"], f"n^{result['bytes_exponent']:.2f}",
                          result["claimed_bytes"]])
    share = statistics.median(profiled_step("--workload", "tiny", "--steps", args.steps)[1] for _ in range(args.rounds))
    return lines + ["", "Of a step of `tiny` (sentences of 14 tokens, 4 heads of 32, 4,096 tokens a batch) attention takes "
                    f"{100 * share:.1f} %, forward and backward.", "",
                    "All kinds, causal, at 16,384 tokens, and their growth from 8,192 on.", ""] + table(
        ["kind", "forward, ms", "and backward", "MiB", "time grows as", "claimed", "memory as", "claimed"], kinds)


def put(paths, part, lines):
    """Between the marks of the part, in the file that has them."""
    begin, end = f"<!-- measured by ./run bench: {part} -->\n", "<!-- end -->"
    for path in paths:
        text = path.read_text()
        if begin in text:
            head, rest = text.split(begin)
            path.write_text(head + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1])
            return
    print("\n".join(lines))


def main():
    parts = {"steps": steps, "growth": growth, "start": start, "attention": attention}
    for part in args.part or parts:
        lines = parts[part]()
        if lines:  # else it has said what it lacks
            put(args.write, part, lines)


main()
