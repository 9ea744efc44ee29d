dump of 2026-08-31
