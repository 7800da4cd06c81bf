"""Measures sallyport itself: `sallyport bench …` over sizes, hops, rates and numbers of links."""

import json
import subprocess

from servers import Failure


class Sallyport:
    def __init__(self, program):
        self.program = program

    def bench(self, *arguments, limit=150):
        """One `sallyport bench` command; its figures. A figure that is wrong is a failure, not a result."""
        command = [self.program, "bench", *(str(argument) for argument in arguments), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(command[1:4])} took longer than {limit} s") from None
        try:
            figures = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise Failure((done.stderr or done.stdout).strip()[-300:]) from None
        figures["command"] = "sallyport " + " ".join(command[1:-1])
        return figures

    def chain(self, points, hops, seconds, rate="max", warm_up=1):
        return self.bench("chain", "--points", points, "--hops", hops, "--seconds", seconds, "--rate", rate,
                          "--warm-up", warm_up)

    def lossless(self, points, hops, seconds, fastest, steps):
        """The highest rate at which every change arrives: what the source made, the last consumer got. Bisection between
        rates, each a run of its own; `fastest` is what arrived when the source made as many as it could."""
        best = None
        low, high = 0.3 * fastest, 1.5 * fastest
        for _ in range(steps):
            rate = (low * high) ** 0.5
            figures = self.chain(points, hops, seconds, rate=round(rate), warm_up=0.5)
            made, arrived = figures["source_changes_per_second"], figures["changes_per_second"]
            if made >= 0.98 * rate and abs(made - arrived) <= 0.005 * made:
                best, low = figures, rate
            else:
                high = rate
        if best is None:
            raise Failure("at no rate that was tried did every change arrive")
        return best
