dump of 2026-10-31
