"""The picture of an impulse response: its curves and its colours say what the response holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naf_core.errors import UserError
from naf_core.responseview import HEIGHT, WIDTH, decay_curves, spectrogram, write_response
from tests.fake_field import DiffuseField, boxes

PAIR = np.array([[1.0, 1.0, 1.5]]), np.array([[4.0, 2.0, 1.5]])


def response(decay: float = 0.5):
    return DiffuseField(boxes(((0, 0, 0), (6, 4, 3))), decay=decay).predict(*PAIR)[0]


def test_curves_fall_as_the_room_decays() -> None:
    times, levels = decay_curves(response())
    assert levels.shape == (8, len(times))
    np.testing.assert_allclose(levels[:, 0], 0.0)
    late = (times > 0.1) & (times < 0.4)
    slopes = np.polyfit(times[late], levels[3, late], 1)[0]
    assert slopes == pytest.approx(-60.0 / 0.5, rel=0.02)


def test_a_tone_is_a_line_at_its_pitch_for_as_long_as_it_sounds() -> None:
    rate, rows, columns = 48_000, 320, 200
    tone = np.sin(2 * np.pi * 2000 * np.arange(rate // 2) / rate)
    found = spectrogram(tone, rate, rows, columns, 1.0)
    pitch = 16_000 * (50 / 16_000) ** ((found[:, 50].argmax() + 0.5) / rows)
    assert pitch == pytest.approx(2000, rel=0.03)
    assert found.max() == pytest.approx(0.0)
    assert found[:, 130:].max() < -60.0
    low = found[int(0.9 * rows) :, 20:80]  # around 70 Hz
    assert low.max() < -40.0


def test_the_picture_is_written_whole(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(24_000) * np.exp(-np.arange(24_000) / 4000)
    path = tmp_path / "view.png"
    write_response(path, response(), samples, 48_000, "Sängerin", "Impulse response")
    assert [file.name for file in tmp_path.iterdir()] == ["view.png"]
    with Image.open(path) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 200


@pytest.mark.parametrize("decay", [0.03, 20.0])
def test_very_short_and_very_long_decays_have_a_picture(tmp_path: Path, decay: float) -> None:
    write_response(tmp_path / "view.png", response(decay), np.zeros(10), 48_000, "a", "b")
    with pytest.raises(UserError, match="cannot be written"):
        write_response(tmp_path / "no" / "view.png", response(decay), np.zeros(10), 48_000, "a", "b")
