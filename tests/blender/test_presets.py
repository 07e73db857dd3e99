"""Presets: ours set every value of their kind to one that works, and people's own come and go."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from blender_addon import presets
from naf_core.formats import format_of

SHIPPED = sorted((Path(presets.__file__).parent / "presets").rglob("*.py"))
ADDING = {
    "bake": presets.ACOUSTICS_OT_bake_preset_add,
    "map": presets.ACOUSTICS_OT_map_preset_add,
    "speaker": presets.ACOUSTICS_OT_speaker_preset_add,
    "material": presets.ACOUSTICS_OT_material_preset_add,
}


def targets(file: Path) -> dict[str, object]:
    """What a preset sets, each to which value."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            found[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    return found


def test_there_are_some_of_each_kind() -> None:
    kinds = [file.parent.name for file in SHIPPED]
    assert {kind: kinds.count(kind) >= 6 for kind in ("bake", "map", "speaker")} == dict.fromkeys(
        ("bake", "map", "speaker"), True
    )
    for file in SHIPPED:
        assert file.name.isascii(), "archives do not keep other names on all systems"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_preset_sets_all_of_its_kind_and_no_more(file: Path, speaker: Callable) -> None:
    item = speaker()
    wanted = targets(file)
    assert list(wanted) == list(ADDING[file.parent.name].preset_values)
    assert bpy.ops.acoustics.preset_load(filepath=str(file)) == {"FINISHED"}
    scene = bpy.context.scene
    own = item.acoustics if file.parent.name == "speaker" else scene.acoustics
    for path, value in wanted.items():
        owner, name = path.split(".")
        found = getattr(item.data if owner == "data" else own, name)
        assert found == pytest.approx(value) if isinstance(value, float) else found == value, path
    if file.parent.name == "bake":  # what the job refuses
        settings = scene.acoustics
        channels = format_of(settings.format.lower(), settings.order).channels
        assert settings.file_type != "FLAC" or (channels <= 8 and settings.sample_type != "FLOAT")
        assert settings.playback == "STEMS" or settings.mix
    if file.parent.name == "map":
        assert scene.acoustics.map_minimum < scene.acoustics.map_maximum
    if file.parent.name == "speaker":
        assert item.data.cone_angle_inner <= item.data.cone_angle_outer


def test_presets_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speaker: Callable, box: Callable) -> None:
    monkeypatch.setattr(bpy.utils, "user_resource", lambda *_args, path="", **_options: str(made(tmp_path / path)))
    for menu in (name for name in dir(presets) if name.endswith("_presets")):
        monkeypatch.setattr(getattr(presets, menu), "bl_label", getattr(presets, menu).bl_label)  # Blender changes it
    item, material = speaker(), bpy.data.materials.new("Felt")
    material.acoustics.absorption = [0.3] * 8
    item.acoustics.level = 47.0
    for kind, cls in ADDING.items():
        with bpy.context.temp_override(material=material):
            assert getattr(bpy.ops.acoustics, f"{kind}_preset_add")(name="My Own") == {"FINISHED"}
        (file,) = (tmp_path / "presets" / cls.preset_subdir).glob("*.py")
        assert set(targets(file)) == set(cls.preset_values)
    item.acoustics.level = 90.0
    file = tmp_path / "presets/acoustic_fields/speaker/My_Own.py"
    assert bpy.ops.acoustics.preset_load(filepath=str(file)) == {"FINISHED"}
    assert item.acoustics.level == 47.0


def test_loading_can_be_undone_and_a_preset_may_be_gone_or_broken(tmp_path: Path) -> None:
    assert "UNDO" in presets.ACOUSTICS_OT_preset_load.bl_options
    label = presets.ACOUSTICS_PT_bake_presets.bl_label
    broken = tmp_path / "broken.py"
    broken.write_text("nothing.of = 1\n")
    for file, message in ((tmp_path / "gone.py", "is gone"), (broken, "cannot be loaded")):
        with pytest.raises(RuntimeError, match=message):
            bpy.ops.acoustics.preset_load(filepath=str(file))
    assert presets.ACOUSTICS_PT_bake_presets.bl_label == label


def test_the_menu_lists_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.blender.test_panels import Layout

    listed = []
    monkeypatch.setattr(Layout, "operator", lambda self, name, **options: listed.append(options) or SimpleNamespace())
    menu = presets.ACOUSTICS_PT_bake_presets
    bpy.types.Menu.path_menu(
        SimpleNamespace(layout=Layout(), bl_idname="x"), bpy.utils.preset_paths(menu.preset_subdir), "x.y"
    )
    assert {"Film 5.1", "Headphones"} <= {options["text"] for options in listed}


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
