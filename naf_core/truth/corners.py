"""Sound round corners against exact solutions, a standard, itself from the other end, and a walker's ear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.air import Air
from naf_core.bands import BAND_EDGES_HZ, EXACT_BANDS_HZ, N_BANDS
from naf_core.diffraction import around, first_sound
from naf_core.edges import find_edges
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.truth.figure import Figure
from naf_core.wedge import covered

_HARD = Material("hard", (0.0,) * N_BANDS, (0.0,) * N_BANDS)
_TALL = 20.0  # m: as good as endless
_STEP = 0.05  # m
_BEFORE = np.array([-3.0, -2.0, 0.3])  # where the emitter stands that a walker comes to see
_PAIRS = 100


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Levels round corners: errors in dB, and how smoothly they change for somebody who walks."""
    report = progress or (lambda fraction: None)
    found = [_against_exact("half-plane", _screen(0.0), 2.0 * np.pi, 0.5)]
    report(0.2)
    found.append(_against_exact("corner of 90°", _screen(_TALL), 1.5 * np.pi, 0.5))
    report(0.4)
    found += [_walk(name, thickness) for name, thickness in (("thin wall", 0.0), ("wall of 15 cm", 0.15))]
    found.append(_walk("corner of 90°", _TALL))
    found += _columns()
    report(0.7)
    found += [_barrier(), _reciprocity()]
    report(1.0)
    return found


def exact_wedge(
    emitter: tuple[np.ndarray, np.ndarray],
    listener: tuple[np.ndarray, np.ndarray],
    height: np.ndarray,
    air_angle: float,
    wavenumber: np.ndarray,
) -> np.ndarray:
    """Field (n, k) that an endless hard wedge diffracts, without the phase of the way; arguments as wedge_field.

    Biot and Tolstoy 1957 ("Formulation of wave propagation in infinite media by normal coordinates with an application
    to diffraction", J. Acoust. Soc. Am. 29) in the form of Svensson, Fred and Vanderkooy 1999 ("An analytic secondary
    source model of edge diffraction impulse responses", J. Acoust. Soc. Am. 106, equations 9 and 10). The integral over
    the length of the way is turned into the complex plane, where exp(-j k length) falls without a ripple.
    """
    (near, start), (far, stop) = emitter, listener
    nu = np.pi / air_angle
    shortest = np.hypot(near + far, height)[:, None, None]
    grid = np.linspace(-20.0, np.log(60.0), 600)
    decay = np.exp(grid)
    weight = decay * np.exp(-decay) * (grid[1] - grid[0]) / wavenumber[:, None]
    length = shortest - 1j * decay / wavenumber[:, None]
    product = (near * far)[:, None, None]
    eta = np.arccosh((length**2 - (near**2 + far**2 + height**2)[:, None, None]) / (2.0 * product))
    total = np.zeros(length.shape, complex)
    for sign_1 in (1.0, -1.0):
        for sign_2 in (1.0, -1.0):
            angle = (nu * (np.pi + sign_1 * start + sign_2 * stop))[:, None, None]
            total += np.sin(angle) / (np.cosh(nu * eta) - np.cos(angle))
    return 1j * nu / (2.0 * np.pi) * (total / (product * np.sinh(eta)) * weight).sum(axis=-1)


def exact_levels(
    emitter: tuple[np.ndarray, np.ndarray],
    listener: tuple[np.ndarray, np.ndarray],
    height: np.ndarray,
    air_angle: float,
) -> np.ndarray:
    """Levels (n, 8) in dB relative to the free field without air, in the shadow; arguments as exact_wedge."""
    air, per_band = Air(), 5
    # The mean over a band of constant spectrum: equal steps of frequency.
    part = (np.arange(per_band) + 0.5) / per_band
    low, high = np.array(BAND_EDGES_HZ[:-1]), np.array(BAND_EDGES_HZ[1:])
    wavenumber = 2.0 * np.pi / air.speed_of_sound * (low[:, None] + (high - low)[:, None] * part).ravel()
    (near, start), (far, stop) = emitter, listener
    field = [
        exact_wedge((near[some], start[some]), (far[some], stop[some]), height[some], air_angle, wavenumber)
        for some in np.array_split(np.arange(len(near)), -(-len(near) // 10))
    ]
    energy = (np.abs(np.concatenate(field)) ** 2).reshape(-1, N_BANDS, per_band).mean(axis=2)
    distance = np.sqrt(near**2 + far**2 - 2.0 * near * far * np.cos(stop - start) + height**2)[:, None]
    longer = np.hypot(near + far, height)[:, None] - distance
    return 10.0 * np.log10(energy * distance**2 * np.exp(-air.absorption() * longer))


def _scene(low: tuple[float, float, float], high: tuple[float, float, float]) -> Scene:
    """A hard solid between two corners, or a sheet where it has no thickness along x."""
    corners = np.array([[(low, high)[k >> axis & 1][axis] for axis in range(3)] for k in range(8)])
    faces = [(0, 2, 6, 4), (1, 3, 7, 5), (0, 1, 5, 4), (2, 3, 7, 6), (0, 1, 3, 2), (4, 5, 7, 6)]
    faces = faces[:1] if low[0] == high[0] else faces
    triangles = np.array([[face[0], face[k], face[k + 1]] for face in faces for k in (1, 2)])
    return Scene(corners, triangles, np.zeros(len(triangles)), [_HARD])


def _screen(thickness: float) -> Scene:
    """All that is behind y = 0, from x = 0 on for ``thickness`` m; its edges are vertical."""
    return _scene((0.0, -_TALL, -_TALL), (thickness, 0.0, _TALL))


def column(sides: int, radius: float) -> Scene:
    """A hard upright column about the origin, as good as endless, with ``sides`` facets."""
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    ring = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = np.concatenate([np.column_stack([ring, np.full(sides, z)]) for z in (-_TALL, _TALL)])
    here, after = np.arange(sides), np.roll(np.arange(sides), -1)
    triangles = np.concatenate(
        [np.column_stack([here, after, after + sides]), np.column_stack([here, after + sides, here + sides])]
    )
    return Scene(vertices, triangles, np.zeros(len(triangles)), [_HARD])


def strip(radius: float, before: float, behind: float, aside: float) -> np.ndarray:
    """Levels (8,) in dB behind a strip of width 2 ``radius``, endless upwards, beside the free field.

    The emitter stands ``before`` its middle, the listener ``behind`` and ``aside``, in m. Each border lets pass what
    a Fresnel integral says, with the exact detour (Born and Wolf, "Principles of Optics", 8.7.3).
    """
    distance = float(np.hypot(before + behind, aside))
    axis = aside * before / (before + behind)
    levels = []
    for low, high in zip(BAND_EDGES_HZ, BAND_EDGES_HZ[1:], strict=False):
        wavenumber = 2.0 * np.pi / Air().speed_of_sound * np.linspace(low, high, 41)
        field = np.zeros(len(wavenumber), complex)
        for side in (-1.0, 1.0):
            border = side * radius
            detour = np.hypot(before, border) + np.hypot(behind, border - aside) - distance
            field += covered(np.array([-detour if side * (border - axis) > 0.0 else detour]), wavenumber)[0]
        levels.append(10.0 * np.log10((np.abs(field) ** 2).mean()))
    return np.array(levels)


def _columns() -> list[Figure]:
    """Round columns of 12 to 128 facets against a strip of their width, and a walker who passes one."""
    rng, errors = np.random.default_rng(4), []
    for sides in (12, 32, 128):
        for radius in (0.1, 0.2, 0.3):
            aside = rng.uniform(0.0, 2.0, 5)
            ends = np.broadcast_to([-3.0, 0.0, 0.0], (5, 3)), np.column_stack([np.full(5, 3.0), aside, np.zeros(5)])
            found = _levels(column(sides, radius), *ends)[0]
            errors.append(found - [strip(radius, 3.0, 3.0, y) for y in aside])
    error = np.sqrt((np.concatenate(errors) ** 2).mean(axis=0))
    walk = np.stack([np.full(61, 3.0), np.arange(-10, 51) * _STEP, np.zeros(61)], axis=1)
    level = _levels(column(32, 0.3), np.broadcast_to([-3.0, 0.0, 0.0], walk.shape), walk)[1]
    note = f"45 places behind and beside columns of 12 to 128 facets; by band {', '.join(f'{x:.1f}' for x in error)} dB"
    return [
        Figure(
            "round columns against a strip, rms 63 Hz to 4 kHz",
            float(np.sqrt((error[:7] ** 2).mean())),
            "dB",
            1.0,
            note=note,
        ),
        Figure("round column: walker's largest step of 5 cm", float(np.abs(np.diff(level)).max()), "dB", 0.5),
    ]


def _levels(scene: Scene, emitters: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels (n, 8) in dB relative to the free field without air, and that of all bands together (n,)."""
    caster = Raycaster(scene)
    paths = around(scene, caster, find_edges(scene, caster), emitters, listeners)
    energy = first_sound(paths, len(listeners))[2]
    distance = np.linalg.norm(emitters - listeners, axis=1)[:, None]
    energy = energy * distance**2 * np.exp(scene.air.absorption() * distance)
    return 10.0 * np.log10(energy), 10.0 * np.log10(energy.mean(axis=1))


def _against_exact(name: str, scene: Scene, air_angle: float, bar: float) -> Figure:
    """Root mean square over bands and hidden pairs, at 0.5 to 4 m from the edge."""
    rng = np.random.default_rng(1)
    radius, height = rng.uniform(0.5, 4.0, (2, _PAIRS)), rng.uniform(-1.0, 1.0, (2, _PAIRS))
    # Angles from the face at x = 0 through the air, both clear of the faces; the second in the shadow of the first.
    first = rng.uniform(0.1, air_angle - np.pi - 0.2, _PAIRS)
    second = rng.uniform(first + np.pi + 0.02, air_angle - 0.1)
    # From -y (angle 0) towards -x, +y and +x.
    places = [
        np.stack([-r * np.sin(angle), -r * np.cos(angle), z], axis=1)
        for r, angle, z in zip(radius, (first, second), height, strict=True)
    ]
    exact = exact_levels((radius[0], first), (radius[1], second), np.diff(height, axis=0)[0], air_angle)
    error = _levels(scene, *places)[0] - exact
    note = f"{_PAIRS} pairs in the shadow; by band {', '.join(f'{x:.2f}' for x in np.sqrt((error**2).mean(axis=0)))} dB"
    return Figure(f"{name} against the exact wedge, rms", float(np.sqrt((error**2).mean())), "dB", bar, note=note)


def _walk(name: str, thickness: float) -> Figure:
    """Largest change of the level between steps of 5 cm, for somebody who comes out of the shadow at 3 m."""
    walk = np.stack([np.full(121, 3.0), np.arange(-60, 61) * _STEP + 2.0, np.zeros(121)], axis=1)
    if thickness == _TALL:
        walk = np.stack([np.arange(121) * _STEP, np.full(121, 3.0), np.zeros(121)], axis=1)[::-1]
    bands, level = _levels(_screen(thickness), np.broadcast_to(_BEFORE, walk.shape), walk)
    steepest = np.abs(np.diff(bands, axis=0)).max(axis=0)
    note = f"level of eight equal bands; single bands: {', '.join(f'{x:.2f}' for x in steepest)} dB"
    return Figure(f"{name}: walker's largest step of 5 cm", float(np.abs(np.diff(level)).max()), "dB", 0.5, note=note)


def walk_past_a_corner() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far (n,) in m a walker has come out of a corner's shadow, the levels (n, 8) there in dB, and exact ones.

    Relative to the free field; the walker passes at 3 m, and what is exact is known in the shadow alone, else NaN.
    """
    walk = np.stack([np.arange(10.0, 2.5, -_STEP), np.full(150, 3.0), np.zeros(150)], axis=1)
    levels = _levels(_screen(_TALL), np.broadcast_to(_BEFORE, walk.shape), walk)[0]
    border = 3.0 * _BEFORE[0] / _BEFORE[1]  # where the straight way passes the edge
    radius = np.hypot(walk[:, 0], walk[:, 1])
    angle = np.arctan2(-walk[:, 0], -walk[:, 1]) % (2.0 * np.pi)  # from -y towards -x
    start = np.hypot(*_BEFORE[:2]), np.arctan2(-_BEFORE[0], -_BEFORE[1])
    hidden = walk[:, 0] > border + _STEP
    emitter = tuple(np.full(hidden.sum(), value) for value in start)
    height = np.full(hidden.sum(), _BEFORE[2])
    exact = np.full(levels.shape, np.nan)
    exact[hidden] = exact_levels(emitter, (radius[hidden], angle[hidden]), height, 1.5 * np.pi)
    return border - walk[:, 0], levels, exact


def _barrier() -> Figure:
    """Two edges against ISO 9613-2:1996, equations 14 to 17, without ground (C2 = 40)."""
    rng = np.random.default_rng(2)
    errors = []
    for thickness in (0.2, 0.5, 1.0):
        scene = _scene((0.0, -_TALL, -_TALL), (thickness, _TALL, 0.0))
        emitters, listeners = (
            np.stack([side * rng.uniform(2.0, 6.0, 20), np.zeros(20), rng.uniform(-2.0, -0.5, 20)], axis=1)
            for side in (-1.0, 1.0)
        )
        listeners[:, 0] += thickness
        ours = _levels(scene, emitters, listeners)[0]
        before, behind = (
            np.hypot(emitters[:, 0], emitters[:, 2]),
            np.hypot(listeners[:, 0] - thickness, listeners[:, 2]),
        )
        longer = before + thickness + behind - np.linalg.norm(emitters - listeners, axis=1)
        wavelength = scene.air.speed_of_sound / np.array(EXACT_BANDS_HZ)
        double = (1.0 + (5.0 * wavelength / thickness) ** 2) / (1.0 / 3.0 + (5.0 * wavelength / thickness) ** 2)
        errors.append(ours + 10.0 * np.log10(3.0 + 40.0 / wavelength * double * longer[:, None]))
    error = np.concatenate(errors)
    note = (
        "60 pairs, barriers of 0.2 to 1 m; the standard fits octave bands and stops at 25 dB, which is left out;"
        f" by band {', '.join(f'{x:+.1f}' for x in error.mean(axis=0))} dB"
    )
    return Figure("thick barrier against ISO 9613-2, mean difference", float(abs(error.mean())), "dB", 3.0, note=note)


def _reciprocity() -> Figure:
    """Largest change of level when emitter and listener change places, hidden and visible, around a block."""
    rng = np.random.default_rng(3)
    scene = _scene((-0.4, -0.5, -1.0), (0.4, 0.6, 0.8))
    emitters, listeners = (rng.uniform((-3.0, -2.0, -1.5), (3.0, 2.0, 1.5), (100, 3)) for _ in range(2))
    clear = ~np.any([(np.abs(p - [0.0, 0.05, -0.1]) < [0.5, 0.65, 1.0]).all(axis=1) for p in (emitters, listeners)], 0)
    emitters, listeners = emitters[clear], listeners[clear]
    there, back = _levels(scene, emitters, listeners)[0], _levels(scene, listeners, emitters)[0]
    return Figure("reciprocity of bent sound, largest difference", float(np.abs(there - back).max()), "dB", 0.01)
