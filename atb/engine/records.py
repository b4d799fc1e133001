"""The kernel's records and codes: what it reads, what it keeps between bars, and what it writes.

Units. Prices in quote per base, quantities in base, cash, equity and fees in quote, times in epoch milliseconds UTC. Field order is
part of the saved state's schema: bump SCHEMA when ACCOUNT or SLOT changes. This file is part of the kernel's hash.
"""

import numpy as np

SCHEMA = 1

MARKET = np.dtype(
    [
        ("opened", "i8"),
        ("closed", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
    ],
    align=True,
)
SIGNAL = np.dtype([("side", "f8"), ("confidence", "f8"), ("atr", "f8"), ("stop", "f8")], align=True)

ACCOUNT = np.dtype(
    [("cash", "f8"), ("equity", "f8"), ("peak", "f8"), ("fees", "f8"), ("orders", "i8"), ("trades", "i8")], align=True
)
ACCOUNT_PARAMETERS = np.dtype([("max_gross", "f8"), ("reserve", "f8")], align=True)

SLOT = np.dtype(
    [
        # the position
        ("quantity", "f8"),  # signed
        ("entry_price", "f8"),  # average
        ("entry_time", "i8"),
        ("stop", "f8"),  # resting stop, NaN when none
        ("target", "f8"),  # resting target, NaN when none
        ("highest", "f8"),  # since the entry
        ("lowest", "f8"),
        ("bars_held", "i8"),
        ("opened_quantity", "f8"),  # absolute, summed over entry fills
        ("exit_value", "f8"),  # absolute quantity x price, summed over exit fills
        ("realised", "f8"),  # gross of fees
        ("fees", "f8"),
        ("mark", "f8"),  # last close
        ("waits", "f8"),  # side that may not be re-entered before the signal has left it, 0 when none
        # intents for the next bar's open
        ("entry", "f8"),  # signed quantity, 0 when none
        ("exit", "f8"),  # signed quantity, 0 when none
        ("exit_reason", "i8"),
        ("refusal", "i8"),  # why the last decision or fill was refused or shrunk, 0 when it was not
    ],
    align=True,
)
SLOT_PARAMETERS = np.dtype(
    [
        ("fraction", "f8"),
        ("stop_loss", "f8"),  # NaN: off
        ("take_profit", "f8"),  # NaN: off
        ("allow_short", "i8"),
        ("reenter", "i8"),
        ("taker_fee", "f8"),
        ("maker_fee", "f8"),
        ("slippage", "f8"),
        ("target_first", "i8"),
        ("tick", "f8"),
        ("tick_inverse", "f8"),  # 1 / tick where that is a whole number, else 0
        ("lot", "f8"),
        ("lot_inverse", "f8"),
        ("min_quantity", "f8"),
        ("min_notional", "f8"),
    ],
    align=True,
)

ORDER = np.dtype(
    [
        ("id", "i8"),
        ("slot", "i8"),
        ("row", "i8"),  # index of the bar it filled in
        ("time", "i8"),  # the bar's open for orders at the open, its close for stops and targets inside the bar
        ("side", "i8"),
        ("quantity", "f8"),
        ("price", "f8"),
        ("fee", "f8"),
        ("role", "i8"),
        ("reason", "i8"),
        ("ambiguous", "i8"),
    ],
    align=True,
)
TRADE = np.dtype(
    [
        ("slot", "i8"),
        ("side", "i8"),
        ("quantity", "f8"),
        ("entry_time", "i8"),
        ("entry_price", "f8"),
        ("exit_time", "i8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("pnl", "f8"),  # net of fees
        ("mfe", "f8"),  # best excursion as a fraction of the entry price, >= 0
        ("mae", "f8"),  # worst excursion as a fraction of the entry price, >= 0
        ("bars_held", "i8"),
        ("reason", "i8"),
    ],
    align=True,
)
REFUSAL = np.dtype([("slot", "i8"), ("time", "i8"), ("reason", "i8")], align=True)

# Codes. Their names reach results and journals through `atb.engine.codes`.

ENTRY, EXIT, STOP, TARGET = 1, 2, 3, 4  # roles
OPEN, RANGE = 0, 1  # phases of a bar
SIGNAL_ENTRY, SIGNAL_EXIT, STOP_LOSS, TAKE_PROFIT = 1, 2, 3, 4  # reasons
TOO_SMALL, BELOW_MIN_NOTIONAL, NO_CASH, NO_EXPOSURE, NO_SHORTS, SHRUNK_BY_CASH, SHRUNK_BY_EXPOSURE, NO_PRICE = range(
    1, 9
)
