"""Plots as SVG, by hand: lines over two axes, each linear or logarithmic. White ground, so that they read on dark pages too."""

import math
from html import escape

WIDTH, HEIGHT = 780, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 220, 58, 58
# Told apart by people who see no red or green, and by their markers.
COLOURS = ["#0b5cad", "#d1495b", "#e08e0b", "#8a5a00", "#2e8b57", "#6f4aa8", "#1a1a1a"]


class Series:
    def __init__(self, name, points, colour):
        self.name = name
        self.points = [(x, y) for x, y in points if x is not None and y is not None]
        self.colour = COLOURS[colour % len(COLOURS)]
        self.marker = colour % len(COLOURS)


def short(number):
    """1000000 as "1 M", 0.5 as "0.5"."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


class Axis:
    def __init__(self, values, start, end, logarithmic, ticks=None):
        self.start, self.end, self.logarithmic = start, end, logarithmic
        values = [value for value in values if not logarithmic or value > 0] or [1, 10]
        if ticks:
            low, high = min(min(values), ticks[0]), max(max(values), ticks[-1])
        elif logarithmic:
            low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
        else:
            low, high = 0, max(values)
        if low == high:
            high = low * 10 if logarithmic else low + 1
        self.low, self.high = low, high
        self.ticks = ticks or self.nice_ticks()
        if not logarithmic and not ticks:
            self.high = self.ticks[-1]

    def nice_ticks(self):
        if self.logarithmic:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            step = max(1, (last - first) // 7)
            return [10.0 ** power for power in range(first, last + 1, step)]
        step = 10 ** math.floor(math.log10(self.high - self.low))
        for divisor in (1, 2, 4, 5, 10):
            if (self.high - self.low) / (step / divisor) >= 4:
                step /= divisor
                break
        return [self.low + step * i for i in range(math.ceil((self.high - self.low) / step - 1e-9) + 1)]

    def at(self, value):
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = (math.log10(max(number, 1e-12)) for number in (value, low, high))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def marker(kind, x, y, colour):
    shapes = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"',
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"',
        f'<path d="M{x:.1f} {y - 5.5:.1f} l5 9 h-10 z"',
        f'<path d="M{x:.1f} {y - 6:.1f} l6 6 l-6 6 l-6 -6 z"',
        f'<path d="M{x:.1f} {y + 5.5:.1f} l5 -9 h-10 z"',
        f'<path d="M{x - 4.5:.1f} {y - 1.5:.1f} h3 v-3 h3 v3 h3 v3 h-3 v3 h-3 v-3 h-3 z"',
    ]
    return f'{shapes[kind % len(shapes)]} fill="{colour}"/>'


def legend(series, bottom):
    """Names at the right, each beside the end of its line where there is room."""
    out = []
    wished = sorted(series, key=lambda one: one.end_y)
    places, y = [], TOP - 100.0
    for one in wished:
        y = max(one.end_y, y + 20)
        places.append(y)
    excess = max(0, places[-1] - bottom) if places else 0
    for index in range(len(places) - 1, -1, -1):  # pushed up again from the bottom
        limit = bottom if index == len(places) - 1 else places[index + 1] - 20
        places[index] = min(places[index], limit) if excess else places[index]
    for one, y in zip(wished, places):
        x = WIDTH - RIGHT + 22
        out.append(marker(one.marker, x, y, one.colour))
        out.append(f'<text x="{x + 12}" y="{y + 4:.1f}" fill="{one.colour}">{escape(one.name)}</text>')
    return out


def plot(title, x_label, y_label, series, x_log=False, y_log=False, x_ticks=None, x_names=None, subtitle=""):
    series = [one for one in series if one.points]
    x_axis = Axis([x for one in series for x, _ in one.points], LEFT, WIDTH - RIGHT, x_log, x_ticks)
    y_axis = Axis([y for one in series for _, y in one.points], HEIGHT - BOTTOM, TOP, y_log)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="600" fill="#1a1a1a">{escape(title)}</text>',
        f'<text x="{LEFT}" y="43" fill="#666666">{escape(subtitle)}</text>',
    ]
    for value in y_axis.ticks:
        y = y_axis.at(value)
        out.append(f'<path d="M{LEFT} {y:.1f} H{WIDTH - RIGHT}" stroke="#e3e3e3"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{short(value)}</text>')
    for index, value in enumerate(x_axis.ticks):
        x = x_axis.at(value)
        name = x_names[index] if x_names else short(value)
        out.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM} v5" stroke="#888888"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#444444">{escape(name)}</text>')
    out.append(f'<path d="M{LEFT} {TOP} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}" fill="none" stroke="#888888"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle" fill="#444444">{escape(x_label)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text transform="translate(18 {middle:.0f}) rotate(-90)" text-anchor="middle" fill="#444444">'
               f"{escape(y_label)}</text>")
    for one in series:
        places = [(x_axis.at(x), y_axis.at(y)) for x, y in one.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="{one.colour}" stroke-width="2"/>')
        out += [marker(one.marker, x, y, one.colour) for x, y in places]
        one.end_y = places[-1][1]
    out += legend(series, HEIGHT - BOTTOM)
    return "\n".join(out) + "\n</svg>\n"
