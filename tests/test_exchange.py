from __future__ import annotations

import numpy as np
import pytest

from naf_core.exchange import PATTERNS, Exchange, trace_exchange
from naf_core.probes import place_probes
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, N_FRAMES, decay_time
from naf_core.scene import Scene
from naf_core.specular import specular_energy
from naf_core.tracer import trace
from tests.shapes import box, material, quad, scene_of, two_rooms


def exchanged(scene: Scene, spacing: float = 0.8, rays: int = 200) -> tuple[np.ndarray, Exchange]:
    caster = Raycaster(scene)
    probes = place_probes(scene, caster, spacing)
    return probes, trace_exchange(scene, caster, probes, rays=rays, seed=1)


def decays(energy: np.ndarray) -> np.ndarray:
    """Decay times (..., 8) from energies (..., 8, N_FRAMES)."""
    curve = np.cumsum(np.maximum(energy, 0.0)[..., ::-1], axis=-1)[..., ::-1]
    return decay_time(np.concatenate([curve, np.zeros_like(curve[..., :1])], axis=-1), -5.0, -35.0)


ROOM = scene_of((box([0, 0, 0], [5.0, 4.0, 2.8]), material(np.linspace(0.15, 0.4, 8), 0.9)))


@pytest.fixture(scope="module")
def box_exchange() -> tuple[np.ndarray, Exchange]:
    return exchanged(ROOM)


def test_probes_of_a_diffuse_room_exchange_what_the_tracer_finds(box_exchange):
    probes, exchange = box_exchange
    first, second = np.array([0, 4, 9, 20]), np.array([29, 25, 12, 7])
    said = exchange.between(exchange.receive[first], exchange.receive[second])
    meant = trace(ROOM, probes[first], probes[second], rays=4000, seed=3)
    energy = np.stack([meant.energy[k, k] for k in range(4)])
    level = 10.0 * np.log10(said[..., 0].sum(axis=2) / energy[..., 0].sum(axis=2))
    assert np.abs(level).mean() < 0.8
    assert np.abs(level.mean()) < 0.6
    assert np.abs(decays(said[..., 0]) / decays(energy[..., 0]) - 1.0).mean() < 0.05


def test_little_is_said_to_arrive_before_it_can(box_exchange):
    # Each patch has one delay for all listeners, so a little does; `later` cuts it off. Ends 4 m apart have no
    # reflection in the first 10 ms.
    probes, exchange = box_exchange
    far = int(np.linalg.norm(probes - probes[0], axis=1).argmax())
    energy = exchange.between(exchange.receive[:1], exchange.receive[far : far + 1])[0, ..., 0]
    assert np.abs(energy[:, FRAME_EDGES[1:] <= 0.0101]).sum() < 0.08 * energy.sum()


def test_both_ways_are_the_same(box_exchange):
    _, exchange = box_exchange
    rng = np.random.default_rng(5)
    weight = rng.dirichlet(np.full(len(exchange.receive), 0.1), 20).astype(np.float32)
    here, there = exchange.at(weight[:10]), exchange.at(weight[10:])
    one, other = exchange.between(here, there)[..., 0], exchange.between(there, here)[..., 0]
    np.testing.assert_allclose(one, other, atol=1e-5 * one.max())


def test_points_between_probes_are_means_of_them(box_exchange):
    _, exchange = box_exchange
    weight = np.zeros((1, len(exchange.receive)), np.float32)
    weight[0, [2, 3]] = 0.25, 0.75
    np.testing.assert_allclose(
        exchange.at(weight)[0], 0.25 * exchange.receive[2] + 0.75 * exchange.receive[3], rtol=1e-5, atol=1e-6
    )


def test_few_patterns_tell_of_all_patches_and_the_transfer_is_symmetric(box_exchange):
    probes, exchange = box_exchange
    patterns = exchange.receive.shape[1]
    assert patterns == min(PATTERNS, 4 * len(probes))
    assert exchange.receive.shape == (len(probes), patterns, 4)
    assert exchange.transfer.shape == (patterns, 8, N_FRAMES, patterns)
    np.testing.assert_array_equal(exchange.transfer, exchange.transfer.swapaxes(0, -1))


def test_a_closed_wall_lets_nothing_through():
    walls = np.concatenate([box([0, 0, 0], [6, 3, 2.5]), quad([3, 0, 0], [3, 3, 0], [3, 3, 2.5], [3, 0, 2.5])])
    probes, exchange = exchanged(scene_of((walls, material(0.2, 0.5))))
    left, right = (np.flatnonzero(side) for side in (probes[:, 0] < 3.0, probes[:, 0] > 3.0))
    total = [
        exchange.between(exchange.receive[left[:1]], exchange.receive[side[-1:]])[0, ..., 0].sum(axis=1)
        for side in (left, right)
    ]
    assert (10.0 * np.log10(np.maximum(total[1], 1e-9) / total[0]) < -13.0).all()


def test_sound_from_the_next_room_comes_through_the_door():
    probes, exchange = exchanged(two_rooms(door=(1.0, 2.0)))
    emitter = int(np.linalg.norm(probes - [1.0, 3.4, 1.3], axis=1).argmin())
    listener = int(np.linalg.norm(probes - [6.0, 1.5, 1.3], axis=1).argmin())
    energy = exchange.between(exchange.receive[[emitter]], exchange.receive[[listener]])[0]
    early = energy[:, FRAME_EDGES[:-1] < 0.08].sum(axis=1).mean(axis=0)
    door = np.array([4.0, 1.5, 1.0]) - probes[listener]
    cosine = early[1:] @ door / (np.linalg.norm(early[1:]) * np.linalg.norm(door))
    assert cosine > 0.6
    assert np.linalg.norm(early[1:]) > 0.1 * early[0]


def test_where_nothing_reflects_nothing_is_exchanged():
    empty = scene_of()
    for count in (0, 3):
        points = np.zeros((count, 3), np.float32)
        exchange = trace_exchange(empty, Raycaster(empty), points, rays=10, seed=0)
        assert exchange.receive.shape == (count, 0, 4)
        assert (exchange.between(exchange.receive, exchange.receive) == 0.0).all()


def test_processes_side_by_side_find_the_same(monkeypatch):
    monkeypatch.setattr("naf_core.randompaths._CHUNK", 1 << 9)
    caster = Raycaster(ROOM)
    probes = place_probes(ROOM, caster, 1.5)
    alone, together = (trace_exchange(ROOM, caster, probes, rays=100, seed=2, processes=n) for n in (1, 2))
    np.testing.assert_array_equal(alone.transfer, together.transfer)


def test_what_is_mirrored_only_and_not_often_is_left_out():
    # A bare box in which nothing scatters and that is dead after a few reflections: most of the energy is in mirror
    # images of the first two orders.
    scene = scene_of((box([0, 0, 0], [5.0, 4.0, 2.8]), material(0.7, 0.0)))
    probes, exchange = exchanged(scene, rays=1000)
    first, second = np.arange(0, 30, 7), np.arange(29, 0, -6)
    said = exchange.between(exchange.receive[first], exchange.receive[second])[..., 0].sum(axis=2)
    traced = trace(scene, probes[first], probes[second], rays=2000, seed=3)
    meant = np.stack([traced.energy[k, k, ..., 0].sum(axis=1) for k in range(5)])
    rows = np.arange(5)
    exact = specular_energy(scene, Raycaster(scene), probes[first], probes[second], rows, rows)[..., 0].sum(axis=2)
    assert (exact > 0.7 * meant).all()
    assert np.abs(10.0 * np.log10((said + exact) / meant)).mean() < 0.4


def test_the_sound_of_a_shut_space_stays_in_it():
    """A hollow box that rings for seconds stands in a dead room: none of its tail is heard outside."""
    ringing = box([3.05, 2.05, 0], [5.05, 4.05, 2.0])
    scene = scene_of((box([0, 0, 0], [6.1, 4.5, 2.6]), material(0.5, 0.5)), (ringing, material(0.01, 0.5)))
    caster = Raycaster(scene)
    probes = place_probes(scene, caster)
    inside = (np.abs(probes - np.array([4.05, 3.05, 1.0])) < 1.0).all(axis=1)
    assert 4 <= inside.sum() < len(probes)
    exchange = trace_exchange(scene, caster, probes, rays=20_000 // len(probes), seed=0)
    energy = np.abs(exchange.between(exchange.receive, exchange.receive)[..., 0]).astype(np.float64)
    late = energy[:, :, FRAME_EDGES[:-1] > 0.5].sum(axis=2) / energy.sum(axis=2)
    assert late[inside, 1:6].min() > 3e-3
    assert late[~inside].max() < 1e-9
