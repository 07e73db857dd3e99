"""What the last bake rendered, kept beside its files, so that the next one renders only what has changed.

The folder ``.stems`` in the output folder holds each emitter's parts before any gain, under a name made of all that
they depend on, and the scans of the scene, refined ones too. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from naf_core.bundled import FIELD, bundled_file
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.job import Job
from naf_core.scene import Scene, Trajectory
from naf_core.stemfile import StemFile

FOLDER = ".stems"
MOST_BYTES = 2_000_000_000  # of all parts together; what goes beyond is rendered anew each time
MOST_REFINED = 16  # refined scans of other scenes: these come back when an edit is undone

_INDEX, _PLAIN, _REFINED = "index.json", "field.h5", "refined.h5"
# Settings on which a stem depends before any gain is applied to it.
_FORM = ("format", "order", "hrtf", "reflections", "sample_rate", "seed", "fps", "frame_start", "n_frames")


class StemStore:
    """The kept results of ``job``'s output folder, and those that this bake hands on in the folder ``part``."""

    def __init__(self, job: Job, part: Path) -> None:
        self._old, self._new = job.cache or job.output / FOLDER, part / FOLDER
        self._new.mkdir()
        self._job = job
        place, scenes = job.recorded, job.room.scenes
        rooms = [_scan_name(job, scene, _PLAIN) for scene in scenes]
        if place is None:  # what a refined scan answers is not what the plain one did
            rooms += [_file(self._old / _scan_name(job, scene, _REFINED)) for scene in scenes]
        changes = (job.room.times, job.room.number) if job.room.change else ()
        recorded = () if place is None else (_file(place.file), np.array(place.origin), np.array(place.axes))
        self._rooms = digest(*rooms, *changes, *recorded)
        self._form = digest(*(getattr(job, name) for name in _FORM), _file(job.hrtf))
        index = self._read_index()
        self.fresh: list[str] = []  # emitters that were to be kept, and of which there is nothing
        self._keys: dict[str, str] = {}
        for emitter in job.emitters if job.kind == "bake" else ():
            kept = index.get(emitter.name, "") if emitter.name in job.kept else ""
            if emitter.name in job.kept and _stem(self._old / f"{kept}.npy") is None:
                self.fresh.append(emitter.name)
                kept = ""
            own = (
                emitter.name,
                emitter.gain,
                emitter.pitch,
                *emitter.starts,
                *emitter.clips,
                emitter.level,
                _file(emitter.sound),
            )
            own += _cone_values(emitter.cone)
            paths = (*_path_values(emitter.trajectory), *_path_values(job.listener.trajectory))
            self._keys[emitter.name] = kept or digest(self._rooms, self._form, *own, *paths)
        self._carry_refined()
        if job.kind == "bake":
            self._write_index()
        else:
            self._carry_stems()

    def scan(self, scene: Scene, make: Callable[[], Field]) -> Field:
        """The kept scan of a scene, the refined one first, else that which ``make`` makes, which is handed on."""
        for kind in (_REFINED, _PLAIN):
            path = self._carried(_scan_name(self._job, scene, kind))
            field = None if path is None else read_scan(path)
            if field is not None:
                return field
            if path is not None:
                path.unlink()
        field = make()
        if isinstance(field, Field):  # stand-ins are not kept
            path = self._new / _scan_name(self._job, scene, _PLAIN)
            try:
                field.save(path)
            except OSError:  # the disk is full: what matters more has to fit
                path.with_name(path.name + ".part").unlink(missing_ok=True)
        return field

    def refined(self, scene: Scene) -> bool:
        """Whether the scan of a scene that was asked for is a refined one."""
        return (self._new / _scan_name(self._job, scene, _REFINED)).exists()

    def keep_refined(self, field: Field) -> None:
        """Hand on a refined scan in place of the plain one; raises UserError where it cannot be written."""
        try:
            field.save(self._new / _scan_name(self._job, field.scene, _REFINED))
        except OSError as error:
            raise UserError(
                f"The refined scan cannot be written to {self._new.parent.parent} ({error.strerror or error}): free"
                " some space, or choose another output folder."
            ) from error
        (self._new / _scan_name(self._job, field.scene, _PLAIN)).unlink(missing_ok=True)

    def stem(self, name: str) -> StemFile | None:
        """The kept stem of the emitter ``name``, None where it has to be rendered, into `place`."""
        path = self._carried(self.place(name).name)
        found = None if path is None else _stem(path)
        if path is not None and found is None:
            path.unlink()
        return found

    def place(self, name: str) -> Path:
        """Where the stem of the emitter ``name`` belongs."""
        return self._new / f"{self._keys[name]}.npy"

    def settle(self) -> None:
        """Let go what goes beyond MOST_BYTES: no stem is needed any more."""
        total = 0
        for path in map(self.place, self._keys):
            size = path.stat().st_size if path.exists() else 0
            total += size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)
                total -= size

    def _carry_stems(self) -> None:
        """Hand on what an earlier bake has rendered: nothing else renders stems."""
        for file in self._old.iterdir() if self._old.is_dir() else ():
            if not file.name.endswith((_PLAIN, _REFINED)):
                self._carried(file.name)

    def _carry_refined(self) -> None:
        """Hand on the latest refined scans, of whatever scene: each took about a minute."""
        found = sorted(self._old.glob(f"*-{_REFINED}"), key=lambda file: file.stat().st_mtime)
        for file in found[-MOST_REFINED:]:
            self._carried(file.name)

    def _carried(self, name: str) -> Path | None:
        """A kept file, brought over to the new folder."""
        old, new = self._old / name, self._new / name
        if not new.exists() and old.is_file():
            try:
                os.link(old, new)
            except OSError:  # a file system without hard links, or another one
                shutil.copyfile(old, new)
        return new if new.exists() else None

    def _read_index(self) -> dict[str, str]:
        """The names of the kept parts by emitter, of bakes with the same form."""
        try:
            found = json.loads((self._old / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        names = found.get("stems") if isinstance(found, dict) and found.get("form") == self._form else None
        known = names.items() if isinstance(names, dict) else ()
        return {name: key for name, key in known if isinstance(key, str) and key.isalnum()}

    def _write_index(self) -> None:
        text = json.dumps({"form": self._form, "stems": self._keys}, indent=1)
        (self._new / _INDEX).write_text(text + "\n", encoding="utf-8")


def refined_scan(job: Job) -> Path | None:
    """The file of the refined scan of a job's scene, where the last bake or refinement kept one."""
    path = (job.cache or job.output / FOLDER) / _scan_name(job, job.scene, _REFINED)
    return path if path.is_file() else None


def _scan_name(job: Job, scene: Scene, kind: str) -> str:
    return f"{digest(_scene_values(scene), job.seed, job.quality)}-{kind}"


def read_scan(path: Path) -> Field | None:
    """The scan in a file, None where it is cut off, or of another version."""
    try:
        return Field.load(path)
    except UserError:
        return None


def _stem(path: Path) -> StemFile | None:
    """The stem in a file, None where there is none in it."""
    try:
        return StemFile(path)
    except (OSError, ValueError, EOFError):
        return None


def digest(*values: object) -> str:
    """A name made of ``values`` and of this program: arrays, texts, numbers, and tuples of these."""
    found = hashlib.sha256(_program())
    for value in values:
        for item in value if isinstance(value, tuple) else (value,):
            array = np.ascontiguousarray(item) if isinstance(item, np.ndarray) else None
            label = repr(item) if array is None else f"{array.dtype.str}{array.shape}"
            found.update(label.encode("utf-8", "backslashreplace") + b"\0")
            if array is not None:
                found.update(array.tobytes())
    return found.hexdigest()[:40]


def _scene_values(scene: Scene) -> tuple:
    air = scene.air
    return (
        scene.vertices,
        scene.triangles,
        scene.material_index,
        scene.absorption,
        scene.scattering,
        scene.transmission_loss,
        np.array([air.temperature, air.humidity, air.pressure]),
    )


def _cone_values(cone: Cone | None) -> tuple:
    return () if cone is None else (cone.inner, cone.outer, cone.outer_gain, cone.radius)


def _path_values(path: Trajectory) -> tuple:
    return path.times, path.positions, path.rotations


def _file(path: str | Path) -> str:
    """What a file holds, as a name; "" for no file or one that cannot be read, which is said elsewhere."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@cache
def _program() -> bytes:
    """What this package and its weights hold: another version renders all anew."""
    found = hashlib.sha256()
    for file in _program_files():
        found.update(file.read_bytes())
    return found.digest()


def _program_files() -> Iterable[Path]:
    return [*sorted(Path(__file__).parent.glob("*.py")), bundled_file(FIELD)]
