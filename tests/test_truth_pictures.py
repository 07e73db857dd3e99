import sys

import pytest

from naf_core.truth import __main__ as command

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from PIL import Image

from naf_core.truth import pictures
from naf_core.truth.coupled import decays


def lines(figure: Figure) -> dict[str, list[float]]:
    """What was drawn by its name in the legend."""
    return {line.get_label(): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}


def test_a_measured_room_is_drawn_beside_the_engine():
    figure = Figure()
    pictures.measured_room(figure, rays=500)
    for axes in figure.axes:
        measured, engine = (bars.lines[0].get_ydata() for bars in axes.containers)
        assert len(measured) == len(engine) == 6
        assert measured.tolist() != engine.tolist()
        assert [label.get_text() for label in axes.get_legend().get_texts()] == ["± 1 JND", "measured", "engine"]


def test_a_walker_hears_high_bands_rise_more_than_low_ones():
    figure = Figure()
    pictures.corner(figure)
    drawn = lines(figure)
    rise = [drawn[name][-1] - drawn[name][0] for name in ("63 Hz", "250 Hz", "1 kHz", "4 kHz")]
    assert rise == sorted(rise)


def test_the_noise_falls_as_more_paths_are_traced(monkeypatch):
    monkeypatch.setattr(pictures, "_PATHS", pictures._PATHS[:3])
    figure = Figure()
    pictures.noise(figure, runs=4)
    for axes in figure.axes:
        for line in axes.lines:
            assert line.get_ydata()[-1] < line.get_ydata()[0]


def test_the_command_saves_what_it_draws(tmp_path, monkeypatch, capsys):
    for name in ("measured_room", "noise"):
        monkeypatch.setattr(pictures, name, pictures.corner)
    monkeypatch.setattr(pictures, "decays", lambda rays: decays(2000))
    assert command.main(["--pictures", str(tmp_path / "new")]) == 0
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == ["truth_bent_decay.png", "truth_corner.png"]
    for file in files:
        with Image.open(file) as drawn:
            assert drawn.size == (720, 310)
    assert str(files[0]) in capsys.readouterr().out


def test_without_matplotlib_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command.main(["--pictures", str(tmp_path)]) == 1
    assert "install acoustic-fields[recordings]" in capsys.readouterr().err
