from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naf_core.colours import colours
from naf_core.firstsound import FirstSound
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.painting import FOLDER, IMAGE, LEGEND, file_name, highest, paint, seconds
from naf_core.scene import Emitter, Trajectory
from naf_core.survey import FloorValues
from tests.fake_field import DiffuseField, boxes

TIMES = np.array([0.0, 1.0])
SPECTRA = {"a.wav": np.full(8, 0.125)}


def job(tmp_path: Path, end: tuple[float, ...] = (5.0, 2.0, 1.5), gain: object = 1.0, **more: object) -> Job:
    """One emitter that walks along x within a second, 24 frames from frame 101 on."""
    ground = FloorMap(24, 18, (0, 0, 0), (6, 0, 0), (0, 4.5, 0), np.zeros((0, 3, 3)), lines=False, **more)
    walker = Emitter("Walker", Trajectory(TIMES, [(1.0, 2.0, 1.5), end]), "a.wav", gain=gain)
    room = boxes(((0, 0, 0), (6, 4.5, 3)))
    return Job("map", room, [walker], None, tmp_path, frame_start=101, n_frames=24, map=ground)


def painted(work: Job, part: Path, warnings: list[str] | None = None) -> dict:
    part.mkdir(exist_ok=True)
    steps: list[float] = []
    told = warnings if warnings is not None else []
    field = DiffuseField(work.scene)
    first = FirstSound(work.scene, field.caster)
    facts = paint(lambda time: (field, first), work, SPECTRA, part, steps.append, told.append)
    assert steps == sorted(steps) and 0.0 <= steps[0] and steps[-1] <= 1.0
    return facts


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)[::-1].astype(int)


def loudest_column(path: Path) -> int:
    """The column of the texel with the highest level, by the green of the palette."""
    return int(pixels(path)[..., 1].max(axis=0).argmax())


def test_one_frame_is_one_picture(tmp_path):
    facts = painted(job(tmp_path, frame_index=12), tmp_path / "part")
    assert sorted(file.name for file in (tmp_path / "part").iterdir()) == sorted((IMAGE, LEGEND))
    assert (facts["images"], facts["frames"], facts["frame"]) == ([IMAGE], [113, 113], 113)
    assert (facts["quantity"], facts["unit"], facts["texels"]) == ("level", "dB(A)", [24, 18])


def test_a_sequence_has_a_picture_for_every_frame(tmp_path):
    part = tmp_path / "part"
    facts = painted(job(tmp_path, step=10), part)
    names = [f"{FOLDER}/{file_name(k + 1)}" for k in range(24)]
    assert facts["images"] == names and facts["frames"] == [101, 124]
    assert sorted(file.name for file in (part / FOLDER).iterdir()) == sorted(Path(name).name for name in names)
    same = [(part / name).read_bytes() for name in names]
    assert same[0] == same[9] != same[10] == same[19] != same[20] == same[23]
    # The emitter walks from the left to the right, and the map with it.
    columns = [loudest_column(part / names[k]) for k in (0, 10, 20)]
    assert columns == sorted(columns) and columns[-1] > columns[0] + 8


def test_the_maximum_is_as_loud_as_the_loudest_frame(tmp_path):
    one = dict(range=(50.0, 90.0))
    top = painted(job(tmp_path, step=8, maximum=True, **one), tmp_path / "top")
    assert top["images"] == [IMAGE] and top["frames"] == [101, 101]
    singles = []
    for index in (0, 8, 16):
        painted(job(tmp_path, frame_index=index, **one), tmp_path / str(index))
        singles.append(pixels(tmp_path / str(index) / IMAGE)[..., 1])
    found = pixels(tmp_path / "top" / IMAGE)[..., 1]
    assert np.abs(found - np.max(singles, axis=0)).max() <= 12  # fewer points of the lattice for several maps


def test_the_highest_leaves_out_what_is_unknown():
    a, b = np.array([[1.0, np.nan, np.nan]]), np.array([[3.0, 2.0, np.nan]])
    solid = np.array([[True, True, False]])
    found = highest([FloorValues(a, solid), FloorValues(b, ~solid)])
    np.testing.assert_array_equal(found.values, [[3.0, 2.0, np.nan]])
    assert not found.solid.any()


@pytest.mark.parametrize("quantity", ["level", "T30", "C50", "D50", "STI"])
def test_colours_are_those_of_the_values_between_the_ends_that_are_told(tmp_path, quantity):
    work = job(tmp_path, quantity=quantity)
    facts = painted(work, tmp_path / "part")
    low, high = facts["min"], facts["max"]
    ramp = colours(np.linspace(low, high, 1000), (low, high)).astype(int)
    found = pixels(tmp_path / "part" / IMAGE)
    known = found[found[..., 3] == 255][:, :3]
    assert len(known) > 300
    distance = np.abs(known[:, None] - ramp[None]).max(axis=2)
    values = np.linspace(low, high, 1000)[distance.argmin(axis=1)]
    assert distance.min(axis=1).max() <= 3
    middle = facts["percentiles"]["50"]
    assert np.median(values) == pytest.approx(middle, abs=0.02 * (high - low) + 0.06)


def test_a_sound_that_is_muted_leaves_an_empty_map_and_says_so(tmp_path):
    warnings: list[str] = []
    facts = painted(job(tmp_path, gain=0.0), tmp_path / "part", warnings)
    assert facts["percentiles"] is None
    assert warnings == ["Nothing sounds at frame 101: the map is empty."]


def test_more_maps_are_thought_to_take_longer(tmp_path):
    times = [seconds(job(tmp_path, **more)) for more in ({}, {"step": 12}, {"step": 1})]
    assert times == sorted(times) and times[0] > 0.0
