#!/usr/bin/env python3
"""What subword-nmt 0.3.8 learns from texts, and how it cuts others: the files in subword-nmt/.

    python3 -m venv venv && venv/bin/pip install subword-nmt==0.3.8
    venv/bin/python tests/golden/make_subword_nmt.py

NAME.codes were learnt from a text and cut another one (.other) to NAME.cut; tests/test_data_bpe.c
names the files and how they were made. prose.text and prose.other are written by hand; the rest is
made here, from random numbers of the script's own.
"""
import collections
import io
import os
import sys

from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "subword-nmt")


def path(name):
    return os.path.join(FOLDER, name)


def read(name):
    with open(path(name), encoding="utf-8", newline="") as file:
        return file.read()


def write(name, text):
    with open(path(name), "w", encoding="utf-8", newline="") as file:
        file.write(text)


class Die:
    """Numerical Recipes' quick and even quicker generator: the same in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def roll(self, n):
        self.state = (1664525 * self.state + 1013904223) % 2**32
        return self.state * n // 2**32


def learn(text, n, min_count=2, total=False):
    out = io.StringIO()
    learn_bpe(io.StringIO(text), out, n, min_count, False, False, total)
    return out.getvalue()


def cut(codes, text, vocabulary=None):
    bpe = BPE(io.StringIO(codes), vocab=vocabulary)
    return "".join(bpe.process_line(line) for line in text.splitlines(True))


def random_word(die, alphabet, longest):
    return "".join(alphabet[die.roll(len(alphabet))] for _ in range(1 + die.roll(longest)))


def random_text(die, alphabet, n_lines, longest):
    words = [random_word(die, alphabet, longest) for _ in range(60)]
    lines = (" ".join(words[die.roll(len(words))] for _ in range(1 + die.roll(8)))
             for _ in range(n_lines))
    return "".join(line + "\n" for line in lines)


def other_text(die, alphabet):
    lines = []
    for _ in range(20):
        words = (random_word(die, alphabet, 25) for _ in range(die.roll(6)))
        lines.append(" " * die.roll(3) + " ".join(words) + " " * die.roll(3) + "\n")
    return "".join(lines)


def make(name, of, codes):
    write(name + ".codes", codes)
    write(name + ".cut", cut(codes, read(of + ".other")))


def make_random(die, name, alphabet, more, n_lines, longest, n_merges):
    text = random_text(die, alphabet, n_lines, longest)
    write(name + ".text", text)
    write(name + ".other", other_text(die, alphabet + more))
    make(name, name, learn(text, n_merges))


def main():
    sys.stderr = open(os.devnull, "w")
    text = read("prose.text")
    make("prose", "prose", learn(text, 300))
    # --vocabulary with --vocabulary-threshold 2: rarer pieces are cut again.
    counts = collections.Counter(cut(learn(text, 300), text).split())
    frequent = {piece for piece, n in counts.items() if n >= 2}
    write("prose.filtered", cut(learn(text, 300), text, frequent))
    make("total", "prose", learn(text, 200, total=True))
    make("rare", "prose", learn(text, 300, min_count=9))

    die = Die(3)
    make_random(die, "runs", "aaab", "", 40, 14, 80)  # pairs that overlap
    make_random(die, "letters", "abc", "d", 60, 12, 150)
    make_random(die, "marks", "xyzÄ日@", "q", 50, 9, 100)
    # Codes in another order, some twice: the first of equal ones counts.
    lines = read("letters.codes").splitlines(True)[1:]
    for i in range(len(lines) - 1, 0, -1):
        j = die.roll(i + 1)
        lines[i], lines[j] = lines[j], lines[i]
    make("order", "letters", "#version: 0.2\n" + "".join(lines + lines[:9]))


main()
