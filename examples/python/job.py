"""The exports of the world `orders`."""

import csv
import logging
import statistics
from collections import defaultdict
from datetime import datetime
from decimal import Decimal, InvalidOperation

import wit_world
from clockjack import job, permanent
from wit_world import Group, Key, Summary


def value_of(row):
    """The value of an order; a `ValueError` says what is wrong with its row."""
    try:
        quantity, price = int(row["quantity"]), Decimal(row["price"])
    except (TypeError, InvalidOperation):
        raise ValueError("a quantity or price that is no number") from None
    if quantity < 1 or not price.is_finite() or price < 0:
        raise ValueError("a quantity or price below zero")
    return quantity * price


def name_of(row, by):
    if by is Key.DAY:
        return datetime.fromisoformat(row["at"]).date().isoformat()
    return row[by.name.lower()]


def money(amount):
    return str(Decimal(amount).quantize(Decimal("0.01")))


class WitWorld(wit_world.WitWorld):
    @job
    def roll_up(self, file, by, top):
        values, groups, n_rejected = [], defaultdict(list), 0
        with open(file, newline="", encoding="utf-8") as orders:
            rows = csv.DictReader(orders)
            missing = {"at", "country", "product", "quantity", "price"} - set(rows.fieldnames or [])
            if missing:
                raise permanent(f"{file} has no column {', '.join(sorted(missing))}")
            for row in rows:
                try:
                    value, name = value_of(row), name_of(row, by)
                except ValueError as error:
                    n_rejected += 1
                    fields = {"line": rows.line_num}
                    logging.warning("an order is left out: %s", error, extra={"fields": fields})
                    continue
                values.append(value)
                groups[name].append(value)
        if not values:
            raise permanent(f"{file} holds no orders")
        logging.info("%d orders in %d groups", len(values), len(groups))
        ranked = sorted(groups.items(), key=lambda group: (-sum(group[1]), group[0]))
        return Summary(
            orders=len(values),
            rejected=n_rejected,
            revenue=money(sum(values)),
            median=money(statistics.median(values)),
            groups=[Group(name, len(each), money(sum(each))) for name, each in ranked[:top]],
        )

    @job
    def hello(self, name):
        logging.info("saying hello", extra={"fields": {"name": name}})
        return f"hello {name}, from Python"
