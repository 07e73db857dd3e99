"""Other simulators in the same rooms: pyroomacoustics and acoustic-spaces.

Where a closed form exists, it decides who is right: image sources in the mirroring box, Kuttruff's formula in the
diffuse one.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable

import numpy as np

from naf_core.air import Air
from naf_core.response import decay_time
from naf_core.tracer import trace
from naf_core.truth.diffuse import free_path_spread, reverberation_time
from naf_core.truth.figure import Figure
from naf_core.truth.plans import PLANS, Plan

_RAYS = 20_000
_PEER_RAYS = {"acoustic-spaces": 20_000, "pyroomacoustics": 10_000}
_QUANTITIES = (("T30", "%", 5.0), ("C50", "dB", 0.7))
_BAND = 2  # 250 Hz: the rooms are alike in all bands, and air takes next to nothing
_SECONDS = 2.5
_IMAGES_SECONDS = 0.6  # in which the mirroring box falls by more than 60 dB
_RATE = 16_000
MODULES = {"acoustic-spaces": "acoustic_spaces", "pyroomacoustics": "pyroomacoustics"}

# T30 in s and C50 in dB at each listener, (L,) each.
Heard = tuple[np.ndarray, np.ndarray]


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """How far the engine and each peer are apart in the five rooms, and from the closed forms in two of them.

    Where they are further apart than the bar, a third decides: the closed form, or else the other peer. A room in
    which it sides with the engine against the peer does not count.
    """
    hearers = {"acoustic-spaces": heard_in_acoustic_spaces, "pyroomacoustics": heard_in_pyroomacoustics}
    heard_by: dict[str, list[Heard]] = {name: [] for name in hearers if importlib.util.find_spec(MODULES[name])}
    ours, truths = [], [_diffuse(PLANS[0]), _mirrored(PLANS[1])] + 3 * [(None, None)]
    for number, plan in enumerate(PLANS):
        ours.append(heard(plan))
        for name, values in heard_by.items():
            values.append(hearers[name](plan))
        if progress is not None:
            progress((number + 1) / len(PLANS))
    found = []
    for row, (quantity, unit, bar) in enumerate(_QUANTITIES):
        for name in hearers:
            check = f"{quantity} against {name}"
            if name not in heard_by:
                found.append(Figure(check, math.nan, unit, bar, note=f"the package {name} is not installed"))
                continue
            worst, rooms = 0.0, []
            for number, plan in enumerate(PLANS):
                mine, theirs = ours[number][row], heard_by[name][number][row]
                judges = {"the closed form": truths[number][row]}
                judges |= {other: values[number][row] for other, values in heard_by.items() if other != name}
                apart = _apart(mine, theirs, unit)
                side = next((who for who, value in judges.items() if value is not None), None)
                off = [np.inf, 0.0] if side is None else [abs(_apart(v, judges[side], unit)) for v in (mine, theirs)]
                right = off[0] <= bar < off[1]
                if abs(apart) <= bar or not right:
                    worst = max(worst, abs(apart))
                    rooms.append(f"{plan.name} {apart:+.2f}")
                else:
                    rooms.append(f"{plan.name} {apart:+.2f} ({side} sides with the engine)")
            note = f"engine less peer, means of four listeners: {', '.join(rooms)}"
            found.append(Figure(check, worst, unit, bar, note=note))
        for number, plan in enumerate(PLANS):
            truth = truths[number][row]
            if truth is not None:
                all_ = {"the engine": ours[number][row], **{n: v[number][row] for n, v in heard_by.items()}}
                apart = {name: _apart(value, truth, unit) for name, value in all_.items()}
                note = ", ".join(f"{name} {value:+.2f}" for name, value in apart.items())
                check = f"{quantity} of the {plan.name}, closed form"
                found.append(Figure(check, abs(apart["the engine"]), unit, bar, note=note))
    return found


def _apart(one: np.ndarray, other: np.ndarray, unit: str) -> float:
    """Difference of two means over the listeners, in dB or percent."""
    one, other = float(np.mean(one)), float(np.mean(other))
    return one - other if unit == "dB" else 100.0 * (one / other - 1.0)


def heard(plan: Plan) -> Heard:
    """What the engine says of a plan."""
    values = trace(plan.scene(Air()), plan.emitter, plan.listeners, rays=_RAYS, seed=1)[0].parameters()
    return values["T30_s"][:, _BAND], values["C50_dB"][:, _BAND]


def heard_in_acoustic_spaces(plan: Plan) -> Heard:
    """What acoustic-spaces says: the same physics, Lambert scattering by coefficient and no diffraction."""
    from acoustic_spaces import Room, simulate
    from acoustic_spaces.scene import Scene

    air = Air()
    parts = ("walls", "floor", "ceiling")
    scene = {
        "name": plan.name,
        "geometry": {"floor_plan": [tuple(map(float, c)) for c in plan.corners], "height": plan.height, "units": "m"},
        "materials": {
            part: {"absorption": [a] * 8, "scattering": plan.scattering}
            for part, a in zip(parts, plan.absorption, strict=True)
        },
        "assignments": {part: part for part in parts},
        "air": {"temperature_c": air.temperature, "humidity_percent": air.humidity},
        "sources": [{"name": "emitter", "position": [float(x) for x in plan.emitter], "directivity": "omni"}],
        "listeners": [
            {"name": f"listener {k}", "position": [float(x) for x in place]} for k, place in enumerate(plan.listeners)
        ],
        "simulation": simulation(_PEER_RAYS["acoustic-spaces"], "random"),
    }
    result = simulate(Room.from_scene(Scene.model_validate(scene)))
    values = [result["emitter", f"listener {k}"].parameters() for k in range(len(plan.listeners))]
    return np.array([v.t30[_BAND] for v in values]), np.array([v.c50[_BAND] for v in values])


def simulation(rays: int, scattering: str, seed: int = 1) -> dict[str, object]:
    """Settings of acoustic-spaces: one thread, energies only; ``scattering`` is "random" (as here) or "vector"."""
    return {
        "early": {"max_order": 3, "diffraction": "none", "coherent_max_band_hz": None},
        "late": {"rays": rays, "directions": 0, "device": "cpu"},
        "scattering": {"method": scattering, "from_size": False},
        "ir_length_s": _SECONDS,
        "seed": seed,
        "performance": {"threads": 1},
    }


def heard_in_pyroomacoustics(plan: Plan) -> Heard:
    """What pyroomacoustics says: images up to the third order, then rays, in one band."""
    import pyroomacoustics

    walls, floor, ceiling = (
        pyroomacoustics.Material(energy_absorption=a, scattering=plan.scattering) for a in plan.absorption
    )
    room = pyroomacoustics.Room.from_corners(
        plan.corners.T, fs=_RATE, max_order=3, materials=walls, ray_tracing=True, air_absorption=False
    )
    room.extrude(plan.height, materials={"floor": floor, "ceiling": ceiling})
    room.set_ray_tracing(n_rays=_PEER_RAYS["pyroomacoustics"], receiver_radius=0.5)
    room.add_source(plan.emitter)
    room.add_microphone(plan.listeners.T)
    room.compute_rir()
    pairs = [
        measured(room.rir[k][0], float(np.linalg.norm(place - plan.emitter)) / room.c)
        for k, place in enumerate(plan.listeners)
    ]
    return np.array([t for t, _ in pairs]), np.array([c for _, c in pairs])


def measured(samples: np.ndarray, arrival: float) -> tuple[float, float]:
    """T30 in s and C50 in dB of an impulse response of pyroomacoustics whose first sound comes at ``arrival`` s."""
    import pyroomacoustics

    energy = np.asarray(samples, np.float64) ** 2
    delay = pyroomacoustics.constants.get("frac_delay_length") // 2
    first = round(arrival * _RATE) + delay
    early = energy[: first + round(0.05 * _RATE)].sum()
    curve = energy[::-1].cumsum()[::-1][max(0, first - delay) :]
    step = _RATE // 1000
    times = np.arange(0, len(curve), step)
    t30 = decay_time(curve[times][None], -5.0, -35.0, edges=times / _RATE)
    return float(t30[0]), float(10.0 * np.log10(early / (energy.sum() - early)))


def _diffuse(plan: Plan) -> tuple[np.ndarray, None]:
    """T30 of the diffuse box after Kuttruff."""
    size = np.array([*np.ptp(plan.corners, axis=0), plan.height])
    exponent = np.full(8, -np.log(1.0 - plan.absorption[0]))
    exponent *= 1.0 - 0.5 * free_path_spread(size, np.random.default_rng(0)) * exponent
    return reverberation_time(size, exponent, Air())[[_BAND]], None


def _mirrored(plan: Plan) -> Heard:
    """T30 and C50 of the mirroring box from all its image sources (Allen and Berkley 1979)."""
    air = Air()
    size = np.array([*np.ptp(plan.corners, axis=0), plan.height])
    wall, floor, ceiling = 1.0 - np.array(plan.absorption)
    low, high = np.array([wall, wall, floor]), np.array([wall, wall, ceiling])
    places, shares = [], []
    for axis in range(3):
        reach = int(air.speed_of_sound * _IMAGES_SECONDS / (2.0 * size[axis])) + 1
        n = np.arange(-reach, reach + 1)
        places.append(
            np.concatenate([2 * n * size[axis] + plan.emitter[axis], 2 * n * size[axis] - plan.emitter[axis]])
        )
        shares.append(
            np.concatenate(
                [
                    (low[axis] * high[axis]) ** np.abs(n),
                    low[axis] ** np.abs(n - 1.0) * high[axis] ** np.abs(n),
                ]
            )
        )
    gain = shares[0][:, None, None] * shares[1][:, None] * shares[2]
    edges = np.arange(0.0, _IMAGES_SECONDS, 0.001)
    t30, c50 = [], []
    for listener in plan.listeners:
        x, y, z = (p - c for p, c in zip(places, listener, strict=True))
        distance = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)
        energy = gain * np.exp(-air.absorption()[_BAND] * distance) / distance**2
        late = (distance - np.linalg.norm(plan.emitter - listener)) / air.speed_of_sound + 1e-9
        slots = np.histogram(late, edges, weights=energy)[0]
        curve = slots[::-1].cumsum()[::-1]
        t30.append(decay_time(np.append(curve, 0.0)[None], -5.0, -35.0, edges=edges)[0])
        c50.append(10.0 * np.log10(slots[:50].sum() / slots[50:].sum()))
    return np.array(t30), np.array(c50)
