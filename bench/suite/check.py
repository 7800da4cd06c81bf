#!/usr/bin/env python3
"""Runs scripts/bench in its tiny size and looks at the page: whole tables, plots that are XML, hand-written text kept.

  bench/suite/check.py BUILD
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.dom.minidom

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(build, *arguments):
    environment = dict(os.environ, SALLYPORT_BUILD=build)
    done = subprocess.run([os.path.join(ROOT, "scripts/bench"), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("scripts/bench " + " ".join(arguments) + " failed:\n" + done.stdout + done.stderr)


def check_tables(text):
    width = None
    for line in text.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.count("|")
        if width not in (None, cells):
            sys.exit("a row of another width than its table: " + line)
        width = cells


def check_plots(text, folder):
    plots = re.findall(r"!\[.*?\]\((.*?\.svg)\)", text)
    if len(plots) != 5:
        sys.exit(f"{len(plots)} plots on the page, not 5")
    for plot in plots:
        xml.dom.minidom.parse(os.path.join(folder, plot))


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, "performance.md")
        run(build, "--tiny", "--docs", folder)
        with open(page) as text:
            first = text.read()
        check_tables(first)
        check_plots(first, folder)
        for name in ("sallyport", "Mosquitto, QoS 0", "Mosquitto, QoS 1, retained", "NATS leaf nodes, core", "JetStream"):
            if name not in first:
                sys.exit(name + " is not on the page")
        if "Not measured:" in first:
            sys.exit("something could not be measured:\n" + first[first.index("Not measured:"):])
        by_hand = "What people wrote | stays.\n"
        with open(page, "w") as text:
            text.write(first.replace("_Not written yet._\n", by_hand, 1))
        run(build, "--page", "--docs", folder)
        with open(page) as text:
            if text.read() != first.replace("_Not written yet._\n", by_hand, 1):
                sys.exit("writing the page again changed more than nothing")


main()
