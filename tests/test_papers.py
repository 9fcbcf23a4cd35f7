"""Figures for papers: as wide as a column or a page, 8 pt throughout, and the drawn curves as CSV."""

import csv
import io

import numpy as np
import pytest
from matplotlib.text import Text

import beamfold as bf
from beamfold.experiments.gradients import fig2
from beamfold.experiments.setting import Setting
from beamfold.papers import COLUMN, PAGE, POINTS, curves, for_paper, write_for_paper
from beamfold.plots import beampatterns
from beamfold.reproduction import EXPERIMENTS
from beamfold.testing import three_beams


@pytest.fixture(scope="module")
def second():
    return fig2(Setting(count=2))


def designed():
    s = bf.make_scenario(bf.saleh_valenzuela(8, 2, 3, seed=0), three_beams(8), snr_db=6)
    return [bf.zf_digital(s), bf.phased_zf(s)], s


def texts(figure):
    return [t for t in figure.findobj(Text) if t.get_text()]


def test_a_figure_of_one_panel_is_a_column_wide_and_one_of_two_a_page(second, tmp_path):
    from beamfold import figures

    designs, s = designed()
    for figure, width in (
        (beampatterns(designs, s.radar, title="left out"), COLUMN),
        (figures.titled(getattr(figures, EXPERIMENTS["fig2"].drawn), second), PAGE),
    ):
        changed = for_paper(figure)
        figure.savefig(tmp_path / "figure.pdf")
        assert changed.get_size_inches()[0] == width
        assert {t.get_fontsize() for t in texts(figure)} == {POINTS}
        assert not figure.get_suptitle()


def test_the_curves_are_those_that_are_drawn(second, tmp_path):
    EXPERIMENTS["fig2"].write_figure(second, tmp_path, paper=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["fig2-paper-1.csv", "fig2-paper-2.csv", "fig2-paper.pdf", "fig2.pdf", "fig2.png"]
    rows = list(csv.reader(io.StringIO((tmp_path / "fig2-paper-1.csv").read_text())))
    values = np.array(rows[1:], float)
    assert rows[0][0] == "x" and len(set(rows[0])) == len(rows[0]) == 5
    assert all(name.isascii() and not set(name) & set(" ,{}$\\") for name in rows[0])
    assert np.allclose(values[:, 0], second.antennas, rtol=1e-5)
    mean = second.gradient_mean.sel(term="grad_F R").isel(statistic=0)
    assert np.abs(values[:, 1:] - 10 * np.log10(mean.values)[:, None]).max(0).min() < 1e-4


def test_curves_over_their_own_x_bring_it_along(tmp_path):
    from matplotlib.figure import Figure

    axes = (figure := Figure()).add_subplot()
    axes.plot([1, 2, 3], [4, 5, 6], label="$\\tau$, ω = 1")
    axes.plot([1, 2], [7, 8], label="$\\tau$, ω = 1")
    axes.plot([1, 2], [7, 8], label="_hidden")
    [table] = curves(figure)
    rows = [line.split(",") for line in table.splitlines()]
    assert rows[0] == ["x_tau_omega=1", "tau_omega=1", "x_tau_omega=1_2", "tau_omega=1_2"]
    assert rows[3] == ["3", "6", "nan", "nan"]
    paths = write_for_paper(figure, tmp_path / "own")
    assert [path.name for path in paths] == ["own-paper.pdf", "own-paper-1.csv"]
    assert b"/Type0" in paths[0].read_bytes() or b"/TrueType" in paths[0].read_bytes()
