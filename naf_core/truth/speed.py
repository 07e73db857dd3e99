"""Speed beside other simulators at equal noise, in one run and in processor seconds of one core.

Time times variance does not depend on the number of rays, once there are many: so each simulator is timed with as
many as are enough to tell its noise, and the time to the wanted noise follows.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from naf_core.air import Air
from naf_core.planes import planes
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.tracer import trace
from naf_core.truth.figure import Figure
from naf_core.truth.furnished import EMITTER, LISTENER, furnished_room
from naf_core.truth.peers import MODULES, measured, simulation

_WANTED = 0.15  # dB: standard deviation of C50, rms over the bands 125 Hz to 4 kHz
_BANDS = slice(1, 7)
_RUNS = 10
_LARGE = 200_000  # triangles
_RAYS = {"engine": 8000, "acoustic-spaces": 4000, "pyroomacoustics": 100}
_ONCE = ("pyroomacoustics",)  # minutes a run, so its noise cannot be told
_PATIENCE = 120.0  # s
_BARS = {"acoustic-spaces": 25.0, "pyroomacoustics": 200.0}


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Ratios of the times that peers and the engine need for one pair in a furnished room."""
    scene, fine = furnished_room(5000), furnished_room(_LARGE)
    steps = iter(np.linspace(0.0, 1.0, 4)[1:])

    def timed(hear: Callable[[int], np.ndarray]) -> tuple[float, float]:
        found = _timed(hear)
        if progress is not None:
            progress(float(next(steps)))
        return found

    hear, prepared = _engine(scene)
    seconds, own_sd = timed(hear)
    hear, large_prepared = _engine(fine)
    large, large_sd = timed(hear)
    own = _to_wanted(seconds, own_sd)
    found = []
    for name, hear in _PEERS.items():
        check = f"speed against {name}, {len(scene.triangles)} triangles"
        if importlib.util.find_spec(MODULES[name]) is None:
            note = f"the package {name} is not installed"
            found.append(Figure(check, math.nan, "x", _BARS[name], at_least=True, note=note))
            continue
        if name in _ONCE:
            taken = _time_once(name)
            ended = "took" if taken < _PATIENCE else "was given up after"
            note = (
                f"a single run of {_RAYS[name]} rays, far noisier than wanted, {ended} {taken:.0f} s: the least ratio"
            )
        else:
            taken, sd = timed(hear(scene))
            taken = _to_wanted(taken, sd)
            note = (
                f"to {_WANTED} dB of C50 {taken:.2f} s against {own:.3f} s of processor time; {_RAYS[name]} rays give"
                f" {sd:.2f} dB, the engine's {_RAYS['engine']} give {own_sd:.2f} dB; of {_RUNS} runs each, so the"
                " ratio is known within a third"
            )
        found.append(Figure(check, taken / own, "x", _BARS[name], at_least=True, note=note))
    found.append(
        Figure(
            f"time with {len(fine.triangles)} triangles over {len(scene.triangles)}",
            _to_wanted(large, large_sd) / own,
            "x",
            3.0,
            note=f"to {_WANTED} dB of C50, once the scene is prepared, which takes {large_prepared:.2f} against"
            f" {prepared:.2f} s; with it {(_to_wanted(large, large_sd) + large_prepared) / (own + prepared):.1f} x;"
            f" {_RAYS['engine']} rays take {large:.2f} against {seconds:.2f} s of processor time and"
            f" give {large_sd:.2f} against {own_sd:.2f} dB",
        )
    )
    found.append(
        Figure(
            f"memory of a process among {len(fine.triangles)} triangles",
            _memory(),
            "GB",
            1.0,
            note="the most while one pair was traced, with Python and its packages; told by the operating system where"
            " it has getrusage",
        )
    )
    return found


def _memory() -> float:
    """Most memory in GB of a process of its own that traces a pair in the large room; NaN where nobody tells."""
    if importlib.util.find_spec("resource") is None:
        return math.nan
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_tell_memory, args=(there,))
    process.start()
    there.close()
    taken = here.recv()
    process.join()
    return taken


def _tell_memory(pipe: Connection) -> None:
    import resource

    trace(furnished_room(_LARGE), EMITTER, LISTENER, rays=_RAYS["engine"])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(most / (1e9 if sys.platform == "darwin" else 1e6))  # bytes there, elsewhere KiB


def _timed(hear: Callable[[int], np.ndarray]) -> tuple[float, float]:
    """Processor time in s of one run of ``hear`` (seed to C50 of the bands), and its noise in dB."""
    hear(0)
    started = time.process_time()
    values = np.array([hear(1 + run) for run in range(_RUNS)])
    taken = (time.process_time() - started) / _RUNS
    return taken, math.sqrt(float(values.var(axis=0, ddof=1).mean()))


def _to_wanted(seconds: float, noise: float) -> float:
    """Time in s to the wanted noise, where ``seconds`` give ``noise`` dB."""
    return seconds * (noise / _WANTED) ** 2


def _time_once(name: str) -> float:
    """Time in s of one run of the peer ``name`` in a process of its own, which ends after _PATIENCE."""
    started = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_run_once, args=(name,))
    process.start()
    process.join(_PATIENCE)
    taken = time.perf_counter() - started
    process.kill()
    process.join()
    return min(taken, _PATIENCE)


def _run_once(name: str) -> None:
    _PEERS[name](furnished_room(5000))(0)


def _engine(scene: Scene) -> tuple[Callable[[int], np.ndarray], float]:
    """How the engine hears the pair, with ray tree and planes found before, and in how many s these were."""
    started = time.process_time()
    caster = Raycaster(scene)
    planes(caster, scene)
    prepared = time.process_time() - started

    def hear(seed: int) -> np.ndarray:
        response = trace(scene, EMITTER, LISTENER, rays=_RAYS["engine"], seed=seed, raycaster=caster)
        return response[0, 0].parameters()["C50_dB"][_BANDS]

    return hear, prepared


def _acoustic_spaces(scene: Scene) -> Callable[[int], np.ndarray]:
    from acoustic_spaces import Room, simulate
    from acoustic_spaces.scene import Scene as PeerScene

    air = Air()
    description = {
        "name": "furnished",
        "materials": {
            m.name: {"absorption": list(m.absorption), "scattering": list(m.scattering)} for m in scene.materials
        },
        "assignments": {m.name: m.name for m in scene.materials},
        "air": {"temperature_c": air.temperature, "humidity_percent": air.humidity},
        "sources": [{"name": "emitter", "position": EMITTER.tolist(), "directivity": "omni"}],
        "listeners": [{"name": "listener", "position": LISTENER.tolist()}],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "furnished.obj")
        file.write_text(_wavefront(scene), encoding="utf-8")
        geometry = {"file": str(file), "units": "m", "up_axis": "z"}
        room = Room.from_scene(PeerScene.model_validate({**description, "geometry": geometry}))

    def hear(seed: int) -> np.ndarray:
        settings = type(room.scene.simulation).model_validate(simulation(_RAYS["acoustic-spaces"], "random", seed))
        return simulate(room, settings=settings)["emitter", "listener"].parameters().c50[_BANDS]

    return hear


def _wavefront(scene: Scene) -> str:
    """The scene as an .obj file with one group for each material."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in scene.vertices]
    for number, material in enumerate(scene.materials):
        lines.append(f"g {material.name}\nusemtl {material.name}")
        lines += [f"f {a} {b} {c}" for a, b, c in scene.triangles[scene.material_index == number] + 1]
    return "\n".join(lines) + "\n"


def _pyroomacoustics(scene: Scene) -> Callable[[int], np.ndarray]:
    import pyroomacoustics

    absorption, scattering = scene.absorption[:, 3], scene.scattering[:, 3]
    walls = [
        pyroomacoustics.wall_factory(
            scene.vertices[triangle].T.astype(np.float32), [float(absorption[index])], [float(scattering[index])]
        )
        for triangle, index in zip(scene.triangles, scene.material_index, strict=True)
    ]

    def hear(seed: int) -> np.ndarray:
        # Rays alone: its images up to the third order of thousands of walls would take far longer.
        room = pyroomacoustics.Room(walls, fs=16_000, max_order=0, ray_tracing=True)
        room.set_ray_tracing(n_rays=_RAYS["pyroomacoustics"], receiver_radius=0.5)
        room.add_source(EMITTER)
        room.add_microphone(LISTENER[:, None])
        room.compute_rir()
        return np.array([measured(room.rir[0][0], float(np.linalg.norm(LISTENER - EMITTER)) / room.c)[1]])

    return hear


_PEERS = {"acoustic-spaces": _acoustic_spaces, "pyroomacoustics": _pyroomacoustics}
