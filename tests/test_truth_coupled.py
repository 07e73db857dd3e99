import numpy as np
import pytest

from naf_core.truth import coupled


def test_both_rooms_are_closed_but_for_the_doorway():
    scene = coupled.rooms()
    corners = scene.vertices[scene.triangles]
    shell = 2 * (13 * 5 + 13 * 3 + 5 * 3)
    assert scene.triangle_areas.sum() == pytest.approx(shell + 15.0 - 0.7 * 3.0)
    partition = (corners[..., 0] == 6.0).all(axis=1)
    assert scene.material_index[partition].tolist() == [0] * 4


def test_the_expected_decay_is_bent():
    level = 10.0 * np.log10(coupled.expected(np.array([0.0, 0.05, 0.6, 0.65])))
    early, late = (level[0] - level[1]) / 0.05, (level[2] - level[3]) / 0.05
    assert early > 3.0 * late > 30.0


def test_the_engine_decays_as_expected():
    [figure] = coupled.figures()
    assert figure.met, figure
