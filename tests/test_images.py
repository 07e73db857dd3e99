import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.images import Images, find_images, no_images, without_images
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, empty_response
from tests.shapes import box, material, quad, scene_of

LOW, HIGH = np.zeros(3), np.array([6.0, 5.0, 3.0])
WALL = material(0.2, 0.25)


@pytest.fixture(scope="module")
def room():
    scene = scene_of((box(LOW, HIGH), WALL))
    return scene, Raycaster(scene)


def images_of_a_box(emitter, order):
    """Places of all images of a box up to an order (Allen and Berkley 1979)."""
    axes = []
    for p, low, high in zip(emitter, LOW, HIGH, strict=True):
        side, rows = high - low, {}
        for count in range(-order, order + 1):
            place = low + count * side + (p - low if count % 2 == 0 else high - p)
            rows[count] = place
        axes.append(rows)
    found = []
    for i, x in axes[0].items():
        for j, y in axes[1].items():
            for k, z in axes[2].items():
                if 1 <= abs(i) + abs(j) + abs(k) <= order:
                    found.append((x, y, z))
    return np.array(found)


def test_all_images_of_a_box_are_found_with_their_energy(room):
    emitter, listener = np.array([1.3, 1.1, 1.4]), np.array([4.2, 3.6, 1.7])
    images = find_images(*room, emitter[None], listener[None], most=100, order=2)
    expected = images_of_a_box(emitter, 2)
    places = (images.turn @ emitter) + images.shift
    assert len(images) == len(expected) == 24
    distance = np.linalg.norm(places[:, None] - expected, axis=-1)
    assert distance.min(axis=0).max() < 1e-3 and distance.min(axis=1).max() < 1e-3
    np.testing.assert_allclose(images.way[:, 0], places - listener, atol=1e-4)
    length = np.linalg.norm(images.way[:, 0], axis=1)
    order = np.linalg.matrix_rank(images.turn - np.eye(3))
    air = np.exp(-length[:, None] * room[0].air.absorption())
    assert set(order) <= {0, 1, 2}  # two parallel walls shift without a turn
    reflections = np.round(np.log(images.energy[:, 0, 0] / air[:, 0] * length**2) / np.log(0.8 * 0.75)).astype(int)
    np.testing.assert_allclose(images.energy[:, 0], air * (0.6**reflections / length**2)[:, None], rtol=2e-3)
    assert sorted(reflections) == [1] * 6 + [2] * 18


@given(st.integers(0, 10_000))
def test_an_image_moves_as_the_emitter_does(seed):
    """A turn or mirror keeps lengths, so an image found at one place is right at every other."""
    rng = np.random.default_rng(seed)
    scene = scene_of((box(LOW, HIGH), WALL))
    places = LOW + 0.5 + (HIGH - 1.0) * rng.random((2, 3))
    images = find_images(scene, Raycaster(scene), places, np.tile([[3.0, 2.5, 1.5]], (2, 1)), most=6, order=1)
    np.testing.assert_allclose(images.turn @ images.turn.transpose(0, 2, 1), np.tile(np.eye(3), (6, 1, 1)), atol=1e-9)
    for place in places:
        expected = images_of_a_box(place, 1)
        found = images.turn @ place + images.shift
        assert np.linalg.norm(found[:, None] - expected, axis=-1).min(axis=1).max() < 1e-3


def test_only_the_strongest_are_kept_at_each_key(room):
    emitters = np.stack([np.linspace(0.5, 5.5, 5), np.full(5, 2.0), np.full(5, 1.5)], axis=1)
    listeners = np.tile([[3.0, 4.0, 1.6]], (5, 1))
    images = find_images(*room, emitters, listeners, most=4)
    everything = find_images(*room, emitters, listeners, most=200)
    heard = images.energy.any(axis=-1)
    np.testing.assert_array_equal(heard.sum(axis=0), 4)
    for key in range(5):
        kept = images.energy[heard[:, key], key].mean(axis=-1)
        best = np.sort(everything.energy[:, key].mean(axis=-1))[-4:]
        np.testing.assert_allclose(np.sort(kept), best, rtol=1e-9)
    assert len(images.at(0)) == 4 and images.at(0).energy.shape == (4, 1, 8)


def test_a_screen_hides_an_image():
    """Only the floor reflects; a screen stands where its reflection would pass."""
    floor = quad([0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0])
    screen = quad([4.9, 4, 0.01], [4.9, 6, 0.01], [4.9, 6, 0.5], [4.9, 4, 0.5])
    emitter, listener = np.array([[2.0, 5.0, 1.0]]), np.array([[8.0, 5.0, 1.0]])
    for parts, count in (((floor,), 1), ((floor, screen), 0)):
        scene = scene_of(*((part, WALL) for part in parts))
        images = find_images(scene, Raycaster(scene), emitter, listener, most=10, order=1)
        assert len(images) == count


def test_without_geometry_or_wish_there_are_none(room):
    nothing = scene_of()
    assert len(find_images(nothing, Raycaster(nothing), np.zeros((2, 3)), np.ones((2, 3)), most=10)) == 0
    assert len(find_images(*room, np.full((2, 3), 1.0), np.full((2, 3), 2.0), most=0)) == 0
    assert no_images(3).energy.shape == (0, 3, 8)


def test_an_emitter_that_meets_nothing_has_none(room):
    floor = scene_of((quad([0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]), WALL))
    far = np.array([[1e5, 1e5, 1e5]])
    assert len(find_images(floor, Raycaster(floor), far, far + 1.0, most=10)) == 0


def diffuse(distance, level=1.0, decay=0.6):
    response = empty_response((len(distance),), 343.2)
    curve = np.exp(-np.log(1e6) / decay * FRAME_EDGES)
    response.energy[..., 0] = level * (curve[:-1] - curve[1:])
    response.distance[...] = distance
    response.tail_slope[...] = -60.0 / decay
    return response


def test_what_the_images_take_over_is_taken_from_their_frames(room):
    emitter, listener = np.array([[1.3, 1.1, 1.4]]), np.array([[4.2, 3.6, 1.7]])
    images = find_images(*room, emitter, listener, most=12)
    before = diffuse([np.linalg.norm(emitter - listener)], level=5.0)
    kept = before.energy.copy()
    after = without_images(before, images)
    np.testing.assert_array_equal(before.energy, kept)
    assert (after.energy[..., 0] >= 0.0).all()
    delay = (np.linalg.norm(images.way[:, 0], axis=1) - before.distance[0]) / 343.2
    for band in (6, 7):  # in the others the images resolve each other less
        total = after.energy[0, band, :, 0].sum() + images.energy[:, 0, band].sum()
        assert total == pytest.approx(before.energy[0, band, :, 0].sum(), rel=0.05)
        image = np.histogram(delay, FRAME_EDGES, weights=images.energy[:, 0, band])[0]
        both = np.cumsum(after.energy[0, band, :, 0] + image)
        # Windows of 20 ms hold what was predicted.
        at = np.searchsorted(FRAME_EDGES, [0.020, 0.040]) - 1
        expected = np.cumsum(before.energy[0, band, :, 0])
        assert np.abs(10.0 * np.log10(both[at] / expected[at])).max() < 0.2
    # What is left points away from where the images are.
    intensity = after.energy[0, 4, :10, 1:].sum(axis=0)
    direction = images.way[:, 0] / np.linalg.norm(images.way[:, 0], axis=1)[:, None]
    np.testing.assert_allclose(intensity @ (images.energy[:, 0, 4] @ direction) < 0.0, True)


def test_images_that_arrive_together_count_as_what_they_are_together():
    """Two waves within what a band resolves have four times the energy of one, at high frequencies twice."""
    way = np.array([[[4.0, 0.0, 0.0]], [[0.0, 4.001, 0.0]]])
    energy = np.full((2, 1, 8), 1.0 / 16.0)
    images = Images(np.tile(np.eye(3), (2, 1, 1)), np.zeros((2, 3)), energy, way)
    far = Images(images.turn, images.shift, energy, way * (1.0, 1.0, 1.0) + [[[0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    before = diffuse([3.0], level=100.0)
    for together, factor in ((images, 4.0), (far, 2.0)):
        after = without_images(before, together)
        taken = (before.energy - after.energy)[0, 7, :, 0].sum()
        assert taken == pytest.approx(factor / 16.0, rel=0.05)


def test_a_field_that_knows_less_than_the_images_keeps_nothing_there(room):
    emitter, listener = np.array([[1.3, 1.1, 1.4]]), np.array([[4.2, 3.6, 1.7]])
    images = find_images(*room, emitter, listener, most=12)
    after = without_images(diffuse([np.linalg.norm(emitter - listener)], level=1e-6), images)
    assert (after.energy[..., 0] >= 0.0).all() and not after.energy[0, :, 0, 0].all()
    assert (np.linalg.norm(after.energy[..., 1:], axis=-1) <= after.energy[..., 0] * 1.0001 + 1e-12).all()
