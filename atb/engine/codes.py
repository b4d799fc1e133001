"""The names of the kernel's integer codes, as they reach results, journals and reports."""

from atb.engine import records

ROLES = {records.ENTRY: "entry", records.EXIT: "exit", records.STOP: "stop", records.TARGET: "target"}
KINDS = {records.AT_MARKET: "market", records.AT_LIMIT: "limit", records.AT_STOP: "stop"}
REASONS = {
    records.SIGNAL_ENTRY: "entry_signal",
    records.SIGNAL_EXIT: "exit_signal",
    records.STOP_LOSS: "stop_loss",
    records.TAKE_PROFIT: "take_profit",
    records.TRAILING_STOP: "trailing_stop",
    records.BREAK_EVEN: "break_even",
    records.PARTIAL_EXIT: "partial_exit",
    records.TIME_LIMIT: "time_limit",
    records.SESSION_END: "session_end",
    records.EARLY_CUT: "early_cut",
    records.RISK_LIMIT: "risk_limit",
    records.LIQUIDATION: "liquidation",
    records.SCALE_IN: "scale_in",
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
    records.SHRUNK_BY_POSITION: "shrunk_by_position_limit",
    records.SHRUNK_BY_VOLUME: "shrunk_by_volume",
    records.SHRUNK_BY_NET: "shrunk_by_net_limit",
    records.SHRUNK_BY_CLUSTER: "shrunk_by_cluster_limit",
    records.SHRUNK_BY_TURNOVER: "shrunk_by_turnover_limit",
    records.NO_POSITION_ROOM: "position_limit",
    records.NO_VOLUME: "no_volume",
    records.NO_NET: "net_limit",
    records.NO_CLUSTER: "cluster_limit",
    records.NO_TURNOVER: "turnover_limit",
    records.TOO_MANY_POSITIONS: "too_many_positions",
    records.ORDERS_IN_BAR: "orders_per_bar",
    records.ORDERS_IN_DAY: "orders_per_day",
    records.DAILY_LOSS: "daily_loss_halt",
    records.DRAWDOWN: "drawdown_halt",
    records.LIQUIDATED: "liquidated",
    records.COOLING: "cooldown",
    records.OUT_OF_SESSION: "out_of_session",
    records.NO_STOP: "no_stop",
    records.MISSING_INPUT: "missing_input",
    records.ENTRY_EXPIRED: "entry_expired",
    records.NO_EDGE: "no_edge",
    records.WRONG_PRICE: "price_on_the_wrong_side",
}
ROLE_CODES = {name: code for code, name in ROLES.items()}
KIND_CODES = {name: code for code, name in KINDS.items()}
REASON_CODES = {name: code for code, name in REASONS.items()}
SIDES = {1: "buy", -1: "sell"}
DIRECTIONS = {1: "long", -1: "short"}
