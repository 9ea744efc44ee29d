dump of 2026-11-18
