"""What the panels say, drawn into a layout that only notes what it is given."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import bpy
import pytest

from blender_addon import drawing, panels, property_panels
from blender_addon.operators import Activity

BUTTONS = ["[bake]", "[loudness_map]", "[refine]", "[probe]", "[response_view]", "[show_lines]", "[clear]"]


ICONS = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items


class Layout:
    """Notes labels, properties and operators, and checks that these exist, and that buttons have an icon."""

    def __init__(self, notes: list[str] | None = None) -> None:
        self.notes = [] if notes is None else notes

    def _part(self, **_options) -> Layout:
        return Layout(self.notes)

    row = column = box = split = grid_flow = _part

    def template_icon(self, *, icon_value: int, scale: float) -> None:
        assert icon_value >= 0 and scale > 1.0
        self.notes.append("(icon)")

    def label(self, *, text: str, icon: str = "NONE", **_options) -> None:
        assert icon in ICONS, icon
        self.notes.append(text)

    def progress(self, *, factor: float, text: str) -> None:
        assert 0.0 <= factor <= 1.0
        self.notes.append(text)

    def prop(self, owner: bpy.types.bpy_struct, name: str, **_options) -> None:
        assert name in owner.bl_rna.properties, name
        self.notes.append(f"<{name}>")

    def operator(self, name: str, *, icon: str, **_options) -> object:
        assert icon in ICONS and icon != "NONE", name
        group, operator = name.split(".")
        known = getattr(getattr(bpy.ops, group), operator).get_rna_type().properties
        self.notes.append(f"[{operator}]")

        class Options:
            def __setattr__(self, option: str, value: object) -> None:
                assert option in known, f"{name} has no {option}"

        return Options()


def drawn(panel: type, **changes) -> list[str]:
    shading = SimpleNamespace(type="SOLID", color_type="MATERIAL")
    space = SimpleNamespace(shading=shading, local_view=None)
    context = SimpleNamespace(scene=bpy.context.scene, space_data=space, **changes)
    layout = Layout()
    panel.draw(SimpleNamespace(layout=layout), context)
    return layout.notes


def test_the_buttons() -> None:
    assert drawn(panels.ACOUSTICS_PT_main) == BUTTONS


def test_after_a_bake_the_scale_the_hint_and_the_warnings_show(scene) -> None:
    bpy.ops.acoustics.bake()
    notes = drawn(panels.ACOUSTICS_PT_main)
    assert "40 – 70 dB(A)" in notes
    assert "The scene is open." in notes
    assert {"[show_map]", "[look_inside]"} <= set(notes)
    assert "3 tracks in the sequencer" in notes and {"[animation_play]", "[path_open]"} <= set(notes)
    assert ["<hide_viewport>", "<hide_render>"] == [note for note in notes if note.startswith("<")]


def test_warnings_are_those_of_the_results_in_the_file(scene) -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.acoustics.bake()
    bpy.ops.ed.undo_push(message="baked")
    shown = drawn(panels.ACOUSTICS_PT_main)
    assert "The scene is open." in shown
    bpy.ops.ed.undo()
    assert drawn(panels.ACOUSTICS_PT_main) == BUTTONS
    bpy.ops.ed.redo()
    assert drawn(panels.ACOUSTICS_PT_main) == shown
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert drawn(panels.ACOUSTICS_PT_main) == shown
    bpy.ops.acoustics.clear()
    assert drawn(panels.ACOUSTICS_PT_main) == BUTTONS


def test_while_a_job_runs_it_takes_the_place_of_the_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn(panels.ACOUSTICS_PT_main)
    running = SimpleNamespace(fraction=0.42, text="42%  Scanning the rooms")
    monkeypatch.setattr(Activity, "running", running)
    # As many lines as before, so that nothing below moves.
    assert drawn(panels.ACOUSTICS_PT_main) == ["42%  Scanning the rooms", "[cancel]", *before[2:]]


def test_what_is_missing_is_said(camera: Callable, speaker: Callable) -> None:
    notes = drawn(panels.ACOUSTICS_PT_check)
    assert {"[fix]", "[add_speaker]", "[save_mainfile]"} <= set(notes)
    assert "Nobody listens" in " ".join(notes) and "Nothing sounds" in " ".join(notes)
    camera("Head")
    speaker("Talker", path=None)
    speaker("Music").data.muted = True
    notes = drawn(panels.ACOUSTICS_PT_check)
    assert "Active camera: Head" in notes
    assert "Talker (no sound)" in notes and "Music (muted)" in notes
    assert {"[choose_sound]", "[fix]"} <= set(notes)


def test_many_speakers_are_not_all_listed(speaker: Callable) -> None:
    for number in range(panels.MAX_ROWS + 3):
        speaker(f"Speaker {number}")
    notes = drawn(panels.ACOUSTICS_PT_check)
    assert len([note for note in notes if note.startswith("Speaker ")]) == panels.MAX_ROWS
    assert "and 3 more" in notes


def test_guesses_are_shown(box: Callable) -> None:
    item = box("Floor")
    item.data.materials.append(bpy.data.materials.new("Thick carpet"))
    (line,) = [note for note in drawn(panels.ACOUSTICS_PT_materials) if note.startswith("Thick carpet")]
    assert "guessed from the name" in line


def test_an_unsaved_file_is_told_where_its_sounds_would_go() -> None:
    assert "Save the .blend file" in " ".join(drawn(panels.ACOUSTICS_PT_check))
    bpy.context.scene.acoustics.directory = bpy.app.tempdir
    assert "Save the .blend file" not in " ".join(drawn(panels.ACOUSTICS_PT_check))


def test_settings_that_do_not_count_are_hidden() -> None:
    settings = bpy.context.scene.acoustics
    assert not {"<map_frame>", "<map_minimum>"} & set(drawn(panels.ACOUSTICS_PT_map))
    settings.map_current_frame, settings.map_range = False, "FIXED"
    assert {"<map_frame>", "<map_minimum>", "<map_maximum>"} <= set(drawn(panels.ACOUSTICS_PT_map))


# Choices with which every setting counts at some time, and so is shown.
ALL_CHOICES = (
    {"format": "BINAURAL", "map_quantity": "level", "map_time": "FRAME", "map_current_frame": False},
    {"map_range": "FIXED", "bake_range": "CUSTOM", "impulses": True, "normalise": True},
    {"format": "AMBIX", "map_quantity": "STI", "map_use_noise": True, "map_time": "MAXIMUM"},
)


def test_every_setting_of_the_scene_has_its_place() -> None:
    settings = bpy.context.scene.acoustics
    names = {p.identifier for p in settings.bl_rna.properties if not p.is_hidden} - {"rna_type", "name"}
    for prefix, module in (("ACOUSTICS_PT", panels), ("SCENE_PT", property_panels)):
        classes = [cls for cls in module._CLASSES if cls.__name__.startswith(prefix)]
        shown = set()
        for choices in ALL_CHOICES:
            for name, value in choices.items():
                setattr(settings, name, value)
            shown |= {note for cls in classes for note in drawn(cls)}
        assert names == {name for name in names if f"<{name}>" in shown}, prefix


def test_materials_and_objects(speaker: Callable, box: Callable) -> None:
    material = bpy.data.materials.new("Oak floor")
    notes = drawn(property_panels.MATERIAL_PT_acoustics, material=material)
    assert "guessed" in " ".join(notes) and {"(icon)", "[find_material]", "[edit_material]"} <= set(notes)
    material.acoustics.mode = "CUSTOM"
    notes = drawn(property_panels.MATERIAL_PT_acoustics, material=material)
    assert notes.count("<absorption>") == 8 and "[edit_material]" not in notes
    assert drawn(property_panels.OBJECT_PT_acoustics, object=box()) == ["<surface>"]
    assert drawn(property_panels.DATA_PT_acoustics, object=speaker()) == [
        "<include>",
        "<level>",
        "<use_cone>",
        "<cone_size>",
    ]


def test_panels_of_properties_show_where_they_belong(speaker: Callable, box: Callable, link: Callable) -> None:
    empty = link("Empty", None)
    for item, shown in ((box(), True), (speaker(), True), (empty, False)):
        assert property_panels.OBJECT_PT_acoustics.poll(SimpleNamespace(object=item)) == shown
    empty.instance_collection = bpy.data.collections.new("Chairs")
    assert property_panels.OBJECT_PT_acoustics.poll(SimpleNamespace(object=empty))


def test_lines_keep_to_the_width() -> None:
    text = "“Toy robot” moves: sound meets it where it is at frame 1, and averyveryverylongwordthatcannotbebroken."
    lines = list(drawing.wrapped(text))
    assert " ".join(lines) == text
    assert all(len(line) <= drawing.WRAP for line in lines[:-1])
