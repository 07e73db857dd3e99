from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core.bake import run
from naf_core.errors import UserError
from naf_core.floormap import FloorMap
from naf_core.images import find_images
from naf_core.job import Job
from naf_core.painting import paint
from naf_core.rooms import Rooms
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.states import States
from tests.fake_field import DiffuseField
from tests.test_states import OPEN, SHUT, door

RATE = 16000
HERE, THERE = np.array([1.0, 2.0, 1.5]), np.array([5.0, 3.0, 1.5])


def rooms(states: States) -> Rooms:
    return Rooms(states, [DiffuseField(scene, level_db=-10.0 - 6.0 * k) for k, scene in enumerate(states.scenes)])


def ask(asked: Rooms, *times: float):
    count = len(times)
    return asked.ask(np.array(times), np.tile(HERE, (count, 1)), np.tile(THERE, (count, 1)))


def test_one_state_answers_as_its_field_alone() -> None:
    alone = rooms(States.of(OPEN))
    response, places, departures = ask(alone, 0.0, 3.0)
    field = DiffuseField(OPEN)
    pairs = np.tile(HERE, (2, 1)), np.tile(THERE, (2, 1))
    expected = alone.first(0).put_into(field.predict(*pairs), *pairs)
    for name in ("energy", "direct", "distance", "direct_direction", "tail_slope"):
        np.testing.assert_array_equal(getattr(response, name), getattr(expected[0], name))
    np.testing.assert_array_equal(places, expected[1])
    np.testing.assert_array_equal(departures, expected[2])


def test_energies_fade_from_state_to_state() -> None:
    response, places, departures = ask(rooms(door()), 0.5, 1.5, 3.0)
    for energy in (response.energy[..., 0].sum(axis=-1), response.direct.astype(np.float64)):
        np.testing.assert_allclose(energy[1], 0.5 * (energy[0] + energy[2]), rtol=1e-5)
    assert (response.direct[2] > 2.0 * response.direct[0]).all()  # the straight way is free in the open room
    np.testing.assert_allclose(np.linalg.norm(response.direct_direction, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(departures, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(places[2], HERE, atol=1e-6)
    # What is heard most says where it comes from.
    np.testing.assert_allclose(places[1], HERE, atol=0.3)
    np.testing.assert_allclose(response.distance, np.linalg.norm(HERE - THERE), rtol=1e-6)


def test_images_of_both_states_are_heard_while_one_fades_into_the_other() -> None:
    asked = rooms(door())
    times = np.array([0.5, 1.5, 3.0])
    pairs = np.tile(HERE, (3, 1)), np.tile(THERE, (3, 1))
    images = asked.images(times, *pairs, 12)
    found = [find_images(scene, DiffuseField(scene).caster, *pairs, 12) for scene in (SHUT, OPEN)]
    total = images.energy.sum(axis=(0, 2))
    expected = [one.energy[:, 0].sum() for one in found]
    np.testing.assert_allclose(total, [expected[0], 0.5 * sum(expected), expected[1]], rtol=1e-5)
    place = np.round(np.concatenate([images.turn.reshape(-1, 9), images.shift], axis=1), 3)
    assert len(np.unique(place, axis=0)) == len(images)  # none twice
    mirrored = np.einsum("sij,kj->ski", images.turn, pairs[0]) + images.shift[:, None]
    np.testing.assert_allclose(images.way, mirrored - pairs[1], atol=1e-9)


def test_a_time_has_the_field_of_its_state() -> None:
    asked = rooms(door())
    assert asked.at(0.2)[0] is asked.fields[0] and asked.at(3.0)[0] is asked.fields[1]
    assert asked.at(3.0)[1] is asked.first(1)


# The whole way.


def job(folder: Path, states: States | None = None) -> Job:
    """A steady tone for two seconds, in a room that opens between 0.5 and 0.75 s."""
    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(48) / 24.0
    soundfile.write(folder / "tone.wav", 0.1 * np.sin(2 * np.pi * 500.0 * np.arange(2 * RATE) / RATE), RATE)
    return Job(
        "bake",
        SHUT if states is None else states.scenes[0],
        (Emitter("Tone", Trajectory(times, np.tile(HERE, (48, 1))), str(folder / "tone.wav")),),
        Listener("Ears", Trajectory(times, np.tile(THERE, (48, 1)))),
        folder / "out",
        n_frames=48,
        sample_rate=RATE,
        format="mono",
        states=states,
    )


def opening() -> States:
    return States((SHUT, OPEN), np.array([0.0, 0.5, 0.75]), np.array([0, 0, 1]))


def baked(work: Job, scanned: list | None = None) -> np.ndarray:
    def scan(scene, **options):
        if scanned is not None:
            scanned.append(scene)
        return DiffuseField.scan(scene, **options)

    result = run(work, lambda event: None, scan=scan)
    return soundfile.read(result["stems"][0]["file"])[0]


def test_a_door_that_opens_is_heard_to_open_without_a_click(tmp_path: Path) -> None:
    scanned: list = []
    work = replace(job(tmp_path, opening()), parts=True)
    heard = baked(work, scanned)
    assert len(scanned) == 2
    (direct,) = work.output.glob("*_direct.wav")
    direct = soundfile.read(direct)[0]
    level = [10.0 * np.log10(np.mean(part**2)) for part in np.split(direct[: 2 * RATE], 32)]
    assert level[-2] - level[4] > 3.0
    assert np.ptp(level[1:8]) < 0.1 and np.ptp(level[13:-1]) < 0.1  # before 0.5 and after 0.75 s all is still
    assert (np.diff(level[8:13]) > -0.1).all()
    # The shape of the wave never jumps.
    steps = np.abs(np.diff(heard[: 2 * RATE - 200], n=2))
    before, during, after = (
        steps[round(a * RATE) : round(b * RATE)].max() for a, b in ((0.2, 0.45), (0.5, 0.9), (1.3, 1.9))
    )
    assert during < 1.5 * max(before, after)


def test_states_that_are_all_alike_sound_as_a_room_that_does_not_change(tmp_path: Path) -> None:
    still = baked(job(tmp_path / "still"))
    alike = States((SHUT, replace(SHUT)), np.array([0.0, 0.5, 0.75]), np.array([0, 0, 1]))
    changing = baked(job(tmp_path / "alike", alike))
    assert len(still) == len(changing)
    assert np.abs(still - changing).max() < 2e-3 * np.abs(still).max()


def test_a_job_keeps_the_states_of_its_room(tmp_path: Path) -> None:
    work = job(tmp_path, opening())
    work.save(tmp_path / "job")
    again = Job.load(tmp_path / "job")
    assert len(again.room.scenes) == 2 and again.room.scenes[0] is again.scene
    np.testing.assert_array_equal(again.room.scenes[1].vertices, OPEN.vertices)
    np.testing.assert_array_equal(again.room.times, work.room.times)
    np.testing.assert_array_equal(again.room.number, work.room.number)
    job(tmp_path / "still").save(tmp_path / "plain")
    assert Job.load(tmp_path / "plain").states is None
    (tmp_path / "job" / "state_1.h5").unlink()
    with pytest.raises(UserError, match="state_1"):
        Job.load(tmp_path / "job")


def test_a_room_that_changes_otherwise_is_rendered_anew(tmp_path: Path) -> None:
    def rendered(states: States | None) -> list[str]:
        work = job(tmp_path, states)
        run(work, lambda event: None, scan=DiffuseField.scan)
        return json.loads((work.output / "report.json").read_text())["rendered"]

    assert rendered(opening()) == ["Tone"]
    assert rendered(opening()) == []
    assert rendered(States((SHUT, OPEN), np.array([0.0, 0.5, 1.0]), np.array([0, 0, 1]))) == ["Tone"]
    assert rendered(None) == ["Tone"]


def test_maps_of_a_sequence_show_the_room_of_their_frame(tmp_path: Path) -> None:
    def pictures(states: States, folder: Path) -> list[bytes]:
        folder.mkdir()
        ground = FloorMap(12, 10, (0, 0, 0), (6, 0, 0), (0, 5, 0), np.zeros((0, 3, 3)), step=24, range=(40.0, 80.0))
        work = replace(job(tmp_path / "map", opening()), kind="map", map=ground)
        fields = [DiffuseField(scene) for scene in states.scenes]
        at = Rooms(states, fields).at
        spectra = {work.emitters[0].sound: np.full(8, 0.125)}
        facts = paint(at, work, spectra, folder, lambda fraction: None, lambda message: None)
        return [(folder / name).read_bytes() for name in facts["images"]]

    changing = pictures(opening(), tmp_path / "changing")
    shut, free = (pictures(States.of(scene), tmp_path / name) for name, scene in (("shut", SHUT), ("free", OPEN)))
    assert len(changing) >= 2 and shut[0] != free[0]
    assert changing[0] == shut[0] and changing[-1] == free[-1]
