#!/usr/bin/env python3
"""Sentence pairs from the help texts of LibreOffice, which every Debian has: docs/text.md.

    libreoffice_help.py [--download] [--source en-US] [--target de] [--help-folder DIR] OUT

Paragraphs and headings of the two languages' pages are paired by the id of their element and written
to OUT/train.tsv, OUT/valid.tsv and OUT/test.tsv: source, tab, target. --download fetches the packages
libreoffice-help-LANGUAGE with apt-get into OUT and unpacks them there; otherwise the pages are those
that are installed, or --help-folder (a folder with en-US/text, de/text). Only the standard library.
The texts are under the MPL 2.0 (/usr/share/doc/libreoffice-help-de/copyright).
"""

import argparse
import hashlib
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

INSTALLED = "usr/share/libreoffice/help"
HELD_OUT = {"valid": 20, "test": 20}  # thousandths of the sources


class Page(HTMLParser):
    """The text of each element <p> and <h1> .. <h6> that has an id, by it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.element, self.key, self.words = {}, None, None, []

    def handle_starttag(self, tag, attrs):
        if self.key and tag == "br":
            self.words.append(" ")
        key = dict(attrs).get("id") or ""
        if tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6"):
            self.finish()  # a <p> ends the one before, closed or not
            if key:
                self.element, self.key = tag, key

    def handle_endtag(self, tag):
        if tag == self.element:
            self.finish()

    def handle_data(self, data):
        if self.key:
            self.words.append(data)

    def finish(self):
        text = " ".join("".join(self.words).split())
        if self.key and text:
            self.texts.setdefault(self.key, text)
        self.element, self.key, self.words = None, None, []


def texts_of(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    page.finish()
    return page.texts


def pairs_of(source, target):
    """Every pair once, in the order of files and elements; what is the same in both is left out."""
    seen, n_elements = set(), 0
    for path in sorted(source.rglob("*.html")):
        other = target / path.relative_to(source)
        if not other.is_file():
            continue
        translated = texts_of(other)
        for key, text in texts_of(path).items():
            pair = (text, translated.get(key))
            if pair[1] is None:
                continue
            n_elements += 1
            if text != pair[1] and pair not in seen:
                seen.add(pair)
                yield pair
    print(f"{n_elements} elements in both languages, {len(seen)} different pairs", file=sys.stderr)


def part_of(source):
    """By the source alone: all its translations lie in one part, and a rerun changes nothing."""
    place = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") % 1000
    for part, size in HELD_OUT.items():
        if place < size:
            return part
        place -= size
    return "train"


def fail(sentence):
    print(f"libreoffice_help.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def run(command, folder, hint):
    try:
        code = subprocess.run(command, cwd=folder).returncode
    except FileNotFoundError:
        fail(f"there is no {command[0]}: --download needs Debian or a system like it; "
             "elsewhere give --help-folder")
    if code != 0:
        fail(f"{' '.join(command)} failed with exit code {code}{hint}")


def download(languages, folder):
    for language in languages:
        package = f"libreoffice-help-{language.lower()}"
        run(["apt-get", "download", package], folder,
            f": is there a package for {language}? `apt-cache search libreoffice-help` lists all")
        for archive in folder.glob(f"{package}_*.deb"):
            run(["dpkg-deb", "-x", archive.name, "."], folder, "")
    return folder / INSTALLED


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--download", action="store_true", help="fetch the packages with apt-get")
    parser.add_argument("--source", default="en-US", help="language of the sources (en-US)")
    parser.add_argument("--target", default="de", help="language of the targets (de)")
    parser.add_argument("--help-folder", type=Path, default=Path("/") / INSTALLED,
                        help="where the languages' folders are")
    parser.add_argument("out", type=Path, help="folder for train.tsv, valid.tsv, test.tsv")
    args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{args.out}: no folder can be made there: {error.strerror}")
    languages = [args.source, args.target]
    folder = download(languages, args.out) if args.download else args.help_folder
    pages = [folder / language / "text" for language in languages]
    for language, path in zip(languages, pages):
        if not path.is_dir():
            fail(f"{path}: there is no such folder: install libreoffice-help-{language.lower()}, "
                 "or give --download")
    parts = {"train": [], "valid": [], "test": []}
    for source, target in pairs_of(*pages):
        parts[part_of(source)].append(f"{source}\t{target}\n")
    if not parts["train"]:
        fail(f"{folder}: no element of {languages[0]} has its fellow in {languages[1]}")
    for part, lines in parts.items():
        (args.out / f"{part}.tsv").write_text("".join(lines), encoding="utf-8")
        print(f"{len(lines):6} pairs in {args.out / part}.tsv", file=sys.stderr)


if __name__ == "__main__":
    main()
