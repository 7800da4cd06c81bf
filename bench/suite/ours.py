"""Measures sallyport itself: `sallyport bench …` over sizes, hops, rates and numbers of links."""

import json
import subprocess
import time

from servers import Failure


class Sallyport:
    def __init__(self, program, deadline):
        self.program = program
        self.deadline = deadline  # time.time() by which everything has to end

    def bench(self, *arguments):
        """One `sallyport bench` command; its figures, or Failure."""
        command = [self.program, "bench", *(str(argument) for argument in arguments), "--json"]
        limit = round(max(5, min(150, self.deadline - time.time())))
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
        rates, each a run of its own; `fastest` is what arrived when the source made as many as it could. The two counters are
        read a moment apart, hence the 0.5 %."""
        best, low, high = None, 0.5 * fastest, 2 * fastest
        for step in range(steps + 3):
            if step >= steps and best:
                break
            # A machine that is slower by now than it was: further down.
            rate = (low * high) ** 0.5 if step < steps else low * 0.5 ** (step - steps)
            figures = self.chain(points, hops, seconds, rate=round(rate), warm_up=0.5)
            made, arrived = figures["source_changes_per_second"], figures["changes_per_second"]
            if made >= 0.98 * rate and arrived >= 0.995 * made:
                best, low = figures, max(low, rate)
            else:
                high = min(high, rate)
        if best is None:
            raise Failure("at no rate that was tried did every change arrive")
        return best
