"""How near the truth the reference engine comes: theory, other simulators and measured rooms, each with its bar."""
