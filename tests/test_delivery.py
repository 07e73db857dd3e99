"""The names of files that a bake delivers."""

from __future__ import annotations

from naf_core.delivery import stem_names


def test_stem_names_are_safe_and_distinct():
    names = ["Talker", "talker", "a/b\\c:d", "..", "", "é", "x" * 500, "con", "Talker_2", "a\nb"]
    found = stem_names(names)
    assert found[:3] == ["stem_Talker.wav", "stem_talker_2.wav", "stem_a_b_c_d.wav"]
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert len(name.encode()) < 255
        assert not set(name) & set('/\\:*?"<>|\n')
        assert name.startswith("stem_")
