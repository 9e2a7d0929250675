# SPDX-License-Identifier: MIT
"""Charts as SVG, by pygal."""

from __future__ import annotations

import re

from benchmarks.chart import Chart
from benchmarks.errors import BenchmarkError

_WIDTH, _BAR, _LEGEND_ROW, _HEAD, _COLUMNS = 1000, 16, 22, 110, 4
_COLOURS = (
    "#1f5fa8", "#2e9e5b", "#d9822b", "#8a8f98", "#b3b8bf", "#d3d6db", "#a03b4d", "#c98892", "#6b4fa0",
    "#4fb3bf", "#b5a642", "#7a5c3e", "#3c4a57",
)  # fmt: skip

_NOT_DRAWN = re.compile("<!--.*?-->|<script.*?</script>", re.DOTALL)
"""pygal's settings, and the day."""


def draw(chart: Chart) -> str:
    """A picture that needs no script and is the same for the same figures.  Raises BenchmarkError without pygal."""
    try:
        import pygal
        from pygal.style import CleanStyle
    except ImportError:
        raise BenchmarkError("no chart is drawn: pygal is missing; pip install -e '.[bench]'") from None
    names = chart.names
    bars = sum(len(group.bars) for group in chart.groups)
    picture = pygal.HorizontalBar(
        title=chart.title,
        width=_WIDTH,
        height=_HEAD + _BAR * (bars + len(chart.groups)) + _LEGEND_ROW * -(-len(names) // _COLUMNS),
        style=CleanStyle(
            font_family="sans-serif",
            title_font_size=18,
            label_font_size=12,
            value_font_size=9,
            colors=_COLOURS,
            value_colors=("#222222",) * len(names),
        ),
        legend_at_bottom=True,
        legend_at_bottom_columns=_COLUMNS,
        truncate_legend=-1,
        truncate_label=-1,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}",
        js=(),
        no_prefix=True,
    )
    # pygal draws from below
    groups = chart.groups[::-1]
    picture.x_labels = [group.title for group in groups]
    for name in names:
        found = [{bar.name: bar.value for bar in group.bars}.get(name) for group in groups]
        picture.add(
            name,
            [{"value": one.median, "ci": {"low": one.low, "high": one.high}} if one else None for one in found],
        )
    return _NOT_DRAWN.sub("", str(picture.render(is_unicode=True)))
