from __future__ import annotations

import json

import numpy as np
import pytest

from naf_core.report import PARAMETERS, pair_facts, parameter_lists, rounded, scene_facts, table, volume
from tests.fake_field import DiffuseField, FreeField, boxes

ROOM = boxes(((0, 0, 0), (6, 5, 3)))


def test_what_is_no_number_becomes_none():
    assert rounded([1.2345, np.nan, np.inf, -np.inf], 2) == [1.23, None, None, None]


def test_parameters_of_one_pair_are_eight_numbers_each():
    response = DiffuseField(ROOM, decay=0.8).predict(np.array([[1, 1, 1.0]]), np.array([[3, 3, 1.0]]))[0]
    found = parameter_lists(response)
    assert tuple(found) == PARAMETERS
    assert found["T30_s"] == pytest.approx([0.8] * 8, rel=0.01)
    facts = pair_facts(response)
    assert facts["visible"] is True
    assert facts["distance_m"] == pytest.approx(np.sqrt(8), abs=1e-3)
    json.dumps(facts, allow_nan=False)


def test_the_volume_is_that_of_the_air_that_probes_see():
    assert volume(ROOM, DiffuseField(ROOM)) == pytest.approx(90.0, rel=0.03)
    assert volume(boxes(), FreeField()) is None
    leaky = DiffuseField(ROOM)
    leaky.escape = 0.5
    assert volume(ROOM, leaky) is None


def test_scene_facts_add_up():
    facts = scene_facts(ROOM, "Kitchen", DiffuseField(ROOM), 60.0)
    assert facts["surface_m2"] == pytest.approx(126.0)
    assert sum(material["area_m2"] for material in facts["materials"]) == pytest.approx(126.0, abs=0.1)
    assert facts["bounds_m"] == [[0.0, 0.0, 0.0], [6.0, 5.0, 3.0]]
    assert facts["air"]["speed_of_sound_m_s"] == 343.2
    json.dumps(facts, allow_nan=False)


def test_a_table_has_a_line_for_each_parameter_and_dashes_for_gaps():
    values = {key: [None] * 4 + [1.0] * 4 for key in PARAMETERS}
    lines = table(values).splitlines()
    assert len(lines) == 1 + len(PARAMETERS)
    assert len(set(map(len, lines))) == 1
    assert all(line.count("–") == 4 for line in lines[1:])
