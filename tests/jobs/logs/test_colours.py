"""The style sheet of the log viewer: every colour can be read on every ground, in both themes."""

import re
from pathlib import Path

import pytest

from jobs.logs import ansi

SHEET = (Path(__file__).parents[3] / "static" / "css" / "log.css").read_text(encoding="utf-8")
THEMES = {"light": ":root", "dark": '[data-bs-theme="dark"]'}
TEXTS = ["log-text", "log-quiet", *(f"ansi{code}" for code in (*range(30, 38), *range(90, 98)))]
GROUNDS = ["log-ground", "log-error", "log-chosen", *(f"ansi{code}" for code in range(40, 48))]


def tokens(theme: str) -> dict[str, str]:
    block = SHEET[SHEET.index(THEMES[theme] + " {") :].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_measured_as_the_guidelines_say():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_colour_is_readable_on_every_ground(theme):
    colours = tokens(theme)
    bad = [
        (text, ground, round(contrast(colours[text], colours[ground]), 2))
        for text in TEXTS
        for ground in GROUNDS
        if contrast(colours[text], colours[ground]) < 4.5
    ]
    assert not bad


def test_the_sheet_has_a_rule_for_each_class_that_a_log_can_get():
    codes = ansi._SHOWN_CODES - {0, 2, 7, 22, 23, 24, 27, 29, 39, 49}
    classes = {f".ansi{code}" for code in codes} | {f".inv{code}" for code in codes if code >= 30}
    assert not {each for each in classes if not re.search(re.escape(each) + r"\b", SHEET)}
