#!/usr/bin/env python3
"""Writes data/access.log: always the same few thousand lines of a made-up shop's web server."""

import pathlib
import random

chance = random.Random(1926)
HEALTHY = [200] * 88 + [304] * 5 + [301, 302] + [404] * 3 + [403, 499]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "kube-probe/1.33",
]
PATHS = (
    [("GET", "/", 5_200)] * 12
    + [("GET", f"/products/{name}", 9_400) for name in ("anvil", "bell", "clock", "dial", "escapement", "fusee")] * 3
    + [("GET", "/static/app.css", 31_000), ("GET", "/static/app.js", 148_000)] * 7
    + [("GET", "/search?q=bell", 12_500), ("GET", "/search?q=tower+clock", 14_100)] * 3
    + [("GET", "/images/hero.webp", 410_000)] * 3
    + [("POST", "/api/cart", 640), ("GET", "/api/cart", 820), ("POST", "/api/checkout", 510)] * 4
    + [("GET", "/healthz", 2)] * 6
    + [("GET", "/wp-login.php", 162), ("GET", "/.env", 162)]
)
MALFORMED = [
    r'198.51.100.23 - - [{time}] "\x16\x03\x01\x02\x00" 400 157 "-" "-"',
    r'203.0.113.99 - - [{time}] "" 400 0 "-" "-"',
    '192.0.2.14 - - [{time}] "GET /products/clo',
    "-- log rotated --",
]


def line(second):
    time = f"20/Nov/2026:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
    if chance.random() < 0.004:
        return chance.choice(MALFORMED).format(time=time)
    # A few clients ask for most: the smaller of two draws.
    host = min(chance.randrange(1, 200), chance.randrange(1, 200))
    network = chance.choice(["192.0.2", "198.51.100", "203.0.113"]) if host > 20 else "192.0.2"
    method, target, size = chance.choice(PATHS)
    status = chance.choice(HEALTHY)
    if target.startswith(("/wp-", "/.")):
        status = 404
    # Between two and three in the afternoon the checkout was down.
    if "checkout" in target and (second // 3600 == 14 or chance.random() < 0.1):
        status = chance.choice([500, 502, 503, 503, 504])
    elif chance.random() < 0.03:
        status = chance.choice([500, 502, 503])
    sent = {301: 169, 302: 0, 304: 0, 499: 0}.get(status, 157 if 400 <= status else int(size * chance.uniform(0.7, 1.3)))
    user = chance.choice(["-"] * 9 + ["mara", "ines", "joaquim"])
    agent = "kube-probe/1.33" if target == "/healthz" else chance.choice(AGENTS[:6])
    referer = chance.choice(["-", "-", "https://shop.example/", "https://search.example/?q=clocks"])
    return f'{network}.{host} - {user} [{time}] "{method} {target} HTTP/{chance.choice(["1.1", "2.0"])}" {status} {sent} "{referer}" "{agent}"'


seconds = sorted(chance.randrange(86_400) for _ in range(4_000))
folder = pathlib.Path(__file__).parent / "data"
(folder / "access.log").write_text("".join(line(second) + "\n" for second in seconds))
