"""The names of the kernel's integer codes, as they reach results, journals and reports."""

from atb.engine import records

ROLES = {records.ENTRY: "entry", records.EXIT: "exit", records.STOP: "stop", records.TARGET: "target"}
REASONS = {
    records.SIGNAL_ENTRY: "entry_signal",
    records.SIGNAL_EXIT: "exit_signal",
    records.STOP_LOSS: "stop_loss",
    records.TAKE_PROFIT: "take_profit",
}
REFUSALS = {
    records.TOO_SMALL: "below_min_quantity",
    records.BELOW_MIN_NOTIONAL: "below_min_notional",
    records.NO_CASH: "no_cash",
    records.NO_EXPOSURE: "exposure_limit",
    records.NO_SHORTS: "shorts_not_allowed",
    records.SHRUNK_BY_CASH: "shrunk_by_cash",
    records.SHRUNK_BY_EXPOSURE: "shrunk_by_exposure_limit",
    records.NO_PRICE: "no_price",
}
SIDES = {1: "buy", -1: "sell"}
DIRECTIONS = {1: "long", -1: "short"}
