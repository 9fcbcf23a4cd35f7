"""The report: one page that loads nothing, whose panels show the data to a pointer and zoom in under it."""

import json
import math
import re

import numpy as np
import pytest

from beamfold.experiments.convergence import fig3
from beamfold.experiments.gradients import fig2
from beamfold.experiments.setting import Setting
from beamfold.experiments.store import load, save
from beamfold.report import write_report


@pytest.fixture(scope="module")
def html_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    save(folder / "fig2.nc", fig2(Setting(count=4)))
    save(folder / "fig3.nc", fig3(Setting(count=2)))
    assert write_report(folder, folder / "report.html") == 2
    return folder / "report.html"


@pytest.fixture(scope="module")
def second(html_page):
    return load(html_page.with_name("fig2.nc"))


def test_the_report_is_one_page_that_loads_nothing(html_page, second):
    text = html_page.read_text()
    assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)', text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    curve = data[0]["curves"][1]
    expected = 10 * np.log10(second.gradient_mean.sel(term="grad_W R").isel(statistic=0))
    assert curve["name"] == "grad_W R"
    assert np.allclose(curve["mean"], expected, rtol=1e-5)


def test_the_report_draws_every_curve_in_a_browser(page, html_page):
    page.open(html_page)
    assert page.run("document.documentElement.dataset.drawn") == "14"  # 2 panels of 4 curves, 1 of 6
    assert page.run("document.querySelectorAll('path.curve').length") == 14
    assert page.errors == []


def box(page, panel=0):
    """Left, top, width and height of a panel's drawing in the window, brought into view."""
    svg = f"document.querySelectorAll('.plot svg')[{panel}]"
    page.run(f"{svg}.scrollIntoView()")
    return [page.run(f"{svg}.getBoundingClientRect().{side}") for side in ("left", "top", "width", "height")]


def texts(page, css, panel=0):
    """What the elements of a panel say, with plain minus signs."""
    figure = f"document.querySelectorAll('figure')[{panel}]"
    found = page.run(f"Array.from({figure}.querySelectorAll('{css}'), (node) => node.textContent)")
    return [text.replace("−", "-") for text in found]


def places(page, axis):
    """Where the ticks of an axis are in the drawing, by their values."""
    ticks = f"document.querySelector('.plot svg').querySelectorAll('text.{axis}')"
    at = page.run(f"Array.from({ticks}, (tick) => Number(tick.getAttribute('{axis}')))")
    return dict(zip(map(float, texts(page, f".plot svg text.{axis}")), at, strict=True))


def along(page, value):
    """Where a value is on the first panel's logarithmic axis, from two of its ticks."""
    (a, at_a), *_, (b, at_b) = places(page, "x").items()
    return at_a + (at_b - at_a) * math.log(value / a) / math.log(b / a)


def test_the_pointer_shows_the_values_of_the_nearest_point(page, html_page, second):
    page.open(html_page)
    left, top, _, height = box(page)
    assert page.run("getComputedStyle(document.querySelector('.tip')).display") == "none"
    for place in (1, 4):
        antennas = int(second.antennas[place])
        page.mouse("mouseMoved", left + along(page, antennas) + 7, top + height / 2)
        assert page.run("getComputedStyle(document.querySelector('.tip')).display") == "block"
        head = page.run("document.querySelector('.tip').firstChild.textContent")
        assert head == f"antennas N: {antennas}"
        shown = {}
        for line in texts(page, ".tip .value"):
            name, mean, low, high = re.fullmatch(r"(.+): (\S+) \((\S+) to (\S+)\)", line).groups()
            shown[name.replace("τ", "tau")] = [float(mean), float(low), float(high)]
        assert [s[0] for s in shown.values()] == sorted((s[0] for s in shown.values()), reverse=True)
        assert set(shown) == set(second.term.values)
        for term, values in shown.items():
            at = second.sel(term=term).isel(statistic=0, antennas=place)
            data = [10 * math.log10(at[f"gradient_{part}"]) for part in ("mean", "low", "high")]
            assert np.allclose(values, data, rtol=5e-4), (term, values, data)  # four digits are shown
    page.mouse("mouseMoved", left + 5, top - 5)
    assert page.run("getComputedStyle(document.querySelector('.tip')).display") == "none"


def test_a_drag_zooms_and_a_double_click_shows_the_whole(page, html_page, second):
    page.open(html_page)
    left, top, _, height = box(page)
    whole = places(page, "x"), places(page, "y")
    begin, end = along(page, 10), along(page, 40)
    page.mouse("mousePressed", left + begin, top + height / 2)
    page.mouse("mouseMoved", left + (begin + end) / 2, top + height / 3)
    assert page.run("document.querySelectorAll('.plot svg .zoom').length") == 1
    page.mouse("mouseMoved", left + end, top + height / 3)
    page.mouse("mouseReleased", left + end, top + height / 3)
    zoomed = places(page, "x")
    assert 10 <= min(zoomed) < max(zoomed) <= 40.001 and len(zoomed) > 2
    # N = 10 and 40, at which the drag began and ended, are the ends of the axis now.
    frame = page.run(
        "(f => [+f.getAttribute('x'), +f.getAttribute('width')])(document.querySelector('.frame'))"
    )
    assert along(page, 10) == pytest.approx(frame[0], abs=1)
    assert along(page, 40) == pytest.approx(sum(frame), abs=1)
    inside = second.gradient_mean.isel(statistic=0).sel(antennas=[16, 32])
    assert max(places(page, "y")) < 10 * math.log10(inside.max()) + 2
    for click in (1, 2):
        page.mouse("mousePressed", left + end, top + height / 3, clickCount=click)
        page.mouse("mouseReleased", left + end, top + height / 3, clickCount=click)
    assert (places(page, "x"), places(page, "y")) == whole
    assert page.errors == []


def test_a_name_hides_its_curve_and_a_small_press_is_no_zoom(page, html_page):
    page.open(html_page)
    left, top, width, height = box(page)
    whole = places(page, "x")
    page.mouse("mousePressed", left + width / 2, top + height / 2)
    page.mouse("mouseReleased", left + width / 2 + 3, top + height / 2)
    assert places(page, "x") == whole
    page.run("document.querySelector('.legend button').click()")
    assert page.run("document.querySelectorAll('path.curve').length") == 13
    page.mouse("mouseMoved", left + width / 2, top + height / 2)
    assert len(texts(page, ".tip .value")) == 3


def luminance(colour):
    """Relative luminance of `rgb(r, g, b)`, WCAG 2."""
    parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_both_colour_schemes_read_well_on_a_phone_and_on_a_desk(page, html_page, scheme, width):
    page.open(html_page, scheme=scheme, width=width)
    assert page.run("document.documentElement.scrollWidth") <= width
    style = "getComputedStyle(document.querySelector('{}')).{}"
    back = luminance(page.run(style.format("body", "backgroundColor")))
    assert (back < 0.1) if scheme == "dark" else (back > 0.9)
    for css, part in (("body", "color"), (".plot svg text", "fill"), ("figcaption", "color")):
        bright, dim = sorted((back, luminance(page.run(style.format(css, part)))), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, css  # the contrast that WCAG asks of text
    for panel in range(3):
        left, top, wide, height = box(page, panel)
        page.mouse("mouseMoved", left + wide * 0.9, top + height / 2)
        tip = f"document.querySelectorAll('.tip')[{panel}].getBoundingClientRect()"
        assert page.run(f"{tip}.width") > 50
        assert page.run(f"{tip}.left") >= 0 and page.run(f"{tip}.right") <= width
