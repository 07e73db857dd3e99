"""Rooms learned from recordings: measured impulse responses, the published neural acoustic field, its rivals, ours."""
