dump of 2026-09-30
