import numpy as np

from naf_core.edges import Edges, find_edges
from naf_core.raycast import Raycaster
from tests.shapes import box, material, quad, scene_of, two_rooms


def found(*triangles: np.ndarray) -> Edges:
    scene = scene_of(*[(part, material()) for part in triangles])
    return find_edges(scene, Raycaster(scene))


def ends(edges: Edges) -> set[tuple[tuple[float, ...], tuple[float, ...]]]:
    start, stop = edges.start, edges.start + edges.length[:, None] * edges.along
    rounded = [
        sorted((tuple(np.round(a, 3) + 0.0), tuple(np.round(b, 3) + 0.0))) for a, b in zip(start, stop, strict=True)
    ]
    return {tuple(pair) for pair in rounded}


def test_a_box_has_its_twelve_edges():
    edges = found(box([0, 0, 0], [1, 2, 3]))
    assert len(edges.length) == len(ends(edges)) == 12
    np.testing.assert_allclose(np.degrees(edges.air_angle), 270.0)
    middle = edges.start + 0.5 * edges.length[:, None] * edges.along
    away = np.einsum("ij,ij->i", middle - [0.5, 1.0, 1.5], edges.outward)
    assert (away > 0.0).all()
    for face in (0, 1):
        np.testing.assert_allclose(np.einsum("ij,ij->i", edges.normal[:, face], edges.outward), np.sqrt(0.5), atol=1e-6)
    assert set(np.round(edges.face_width, 3).ravel()) == {1.0, 2.0, 3.0}
    assert not edges.closed.any()


def test_the_winding_does_not_matter():
    rng = np.random.default_rng(0)
    solid = box([0, 0, 0], [1, 2, 3])
    flipped = np.where(rng.random(len(solid))[:, None, None] < 0.5, solid, solid[:, ::-1])
    assert ends(found(flipped)) == ends(found(solid))


def test_a_sheet_has_its_border_and_not_its_diagonal():
    edges = found(quad([0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]))
    assert len(edges.length) == 4
    np.testing.assert_allclose(np.degrees(edges.air_angle), 360.0, atol=1e-4)


def test_many_pieces_in_a_line_are_one_edge():
    tiles = [quad([x, 0, 0], [x + 0.5, 0, 0], [x + 0.5, 1, 0], [x, 1, 0]) for x in np.arange(0.0, 4.0, 0.5)]
    assert ends(found(np.concatenate(tiles))) == {
        ((0.0, 0.0, 0.0), (4.0, 0.0, 0.0)),
        ((0.0, 1.0, 0.0), (4.0, 1.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((4.0, 0.0, 0.0), (4.0, 1.0, 0.0)),
    }


def test_boxes_that_touch_are_one_block():
    block = found(box([0, 0, 0], [1, 1, 1]), box([0, 0, 1], [1, 1, 2]))
    assert ends(block) == ends(found(box([0, 0, 0], [1, 1, 2])))


def test_seams_of_unequal_tiles_are_no_edges():
    # A wall of three rectangles that meet in a T, not sharing corners.
    wall = [
        quad([0, 0, 0], [2, 0, 0], [2, 0, 1], [0, 0, 1]),
        quad([0, 0, 1], [1, 0, 1], [1, 0, 2], [0, 0, 2]),
        quad([1, 0, 1], [2, 0, 1], [2, 0, 2], [1, 0, 2]),
    ]
    assert ends(found(*wall)) == ends(found(quad([0, 0, 0], [2, 0, 0], [2, 0, 2], [0, 0, 2])))


def test_a_doorway_has_two_jambs_that_stand_on_the_floor_and_a_lintel():
    scene = two_rooms()
    edges = find_edges(scene, Raycaster(scene))
    sheets = edges.air_angle > 6.0
    door = Edges(*(column[sheets] for column in edges))
    assert ends(door) == {
        ((4.0, 1.0, 0.0), (4.0, 1.0, 2.0)),
        ((4.0, 2.0, 0.0), (4.0, 2.0, 2.0)),
        ((4.0, 1.0, 2.0), (4.0, 2.0, 2.0)),
    }
    for start, along, closed in zip(door.start, door.along, door.closed, strict=True):
        if abs(along[2]) > 0.9:
            at_floor = 0 if start[2] < 0.5 else 1
            assert closed[at_floor] and not closed[1 - at_floor]


def test_nothing_and_degenerate_meshes_have_no_edges():
    assert len(found().length) == 0
    needle = np.array([[[0, 0, 0], [1, 0, 0], [1, 1e-6, 0]]], float)
    assert np.isfinite(found(needle).start).all()
    twice = box([0, 0, 0], [1, 1, 1])
    assert ends(found(twice, twice)) == ends(found(twice))
