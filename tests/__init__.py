"""The tests. A package with an init file: sofar, which they need, installs another package of that name."""
