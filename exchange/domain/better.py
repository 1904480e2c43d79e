"""RT3: a plain buy that takes better too is a bulk task of one period, over its own chip and region."""

from exchange.domain.commands import AmendTask, PlaceOrder, SubmitTask, Task, TaskChip
from exchange.domain.instrument import Periods


def task_of(command: SubmitTask | AmendTask | PlaceOrder, periods: Periods) -> Task:
    """The task that a command enters or amends; of an order, the one that buys its class or faster, its power or green."""
    if not isinstance(command, PlaceOrder):
        return command.task
    chip, region, latency_class, power, hour = command.instrument.split("/")
    period = periods.parse(hour)
    assert period is not None, command
    return Task(
        command.participant, command.client_order_id, "", 0, (TaskChip(chip),), command.lots, 1, periods.start(period),
        periods.start(period + 1), price_cap_micro=command.price_micro, shape="bulk", allowed_regions=(region,),
        min_green_ppm=1_000_000 if power == "green" else 0, is_immediate=command.tif == "IOC", slowest_class=latency_class,
    )  # fmt: skip
