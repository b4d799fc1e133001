"""Rules as text: what to trade in one line, from which a column, its warm-up and its inputs are derived.

    cross_above(ema(close, 12), ema(close, 48)) and rsi(14) < 70

*Columns*: `open high low close volume`; `hour` (0 to 23) and `weekday` (Monday 0 to Sunday 6) of the bar's close, UTC; `funding`,
the newest rate paid; `sentiment`, the newest value published. Columns take options in brackets: bars `timeframe`, `symbol` and
`max_age`, funding `symbol` and `max_age`, sentiment `source` and `max_age`, such as `close(symbol="ETH/USDT")`.

*Functions*: every registered indicator, its columns first and then its parameters, by place or by name. Where it reads columns of
the bars they may be left out: `rsi(14)` is `rsi(close, 14)`. One with several outputs is followed by `.` and the output's name. A
timeframe or symbol computes all of it on these bars: `ema(close, 50, timeframe="4h")`. Of the language are

- `cross_above(a, b)`: `a` is above `b` and was not one row ago; `cross_below` the other way round
- `rising(x, n=1)`, `falling(x, n=1)`: each of the last `n` values is above (below) the one before it
- `lag(x, n=1)`: the value `n` rows ago, of numbers and conditions; `close > lag(highest(high, 20), 1)` is a breakout
- `between(x, low, high)`: `low <= x <= high`
- `abs(x)`, `min(a, b, ...)`, `max(a, b, ...)`: at each row

*Operators*, from the weakest: `or`, `and`, `not`, the comparisons `< <= > >= == !=` (one at a time), `+ -`, `* /`, the sign `-`.

*Constants* may have names, by which they are given or swept: `rsi({n=14}) < {low=30}`. The value stands at one place at least, or
is given as a parameter: `-p n=21`, `make_strategy("rule", entry="rsi({n}) < 30", n=21)`, `grid("rule", entry=..., n=[7, 14, 21])`.

*What is missing* (warm-up, a hole, a division by 0, an input too old) is not known, and neither is a comparison with it: `not`
leaves it unknown, `and` and `or` too unless the other side alone decides. A rule that is not known is no signal.

A rule reads no bar to come: there is no word for it. There is no `eval` either: names are looked up in the register, and nothing
else of Python can be reached.
"""

from atb.strategies.rules.expression import Expression, parse
from atb.strategies.rules.strategy import Rule

__all__ = ["Expression", "Rule", "parse"]
