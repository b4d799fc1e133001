"""Indicators against TA-Lib's own over a whole history: equal to rounding once both have settled."""

import numpy as np
import pytest
import talib

from atb.errors import InputError
from atb.features import indicators as ours
from tests.bars import random_walk

BARS = random_walk(2_000, seed=8)
P, H, L, C, V = (BARS[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
SETTLED = 1_100
PAIRS = {
    "sma": lambda: (ours.sma(C, 20), talib.SMA(C, 20)),
    "wma": lambda: (ours.wma(C, 20), talib.WMA(C, 20)),
    "trima of an odd period": lambda: (ours.trima(C, 9), talib.TRIMA(C, 9)),
    "trima of an even period": lambda: (ours.trima(C, 10), talib.TRIMA(C, 10)),
    "hma": lambda: (ours.hma(C, 15), talib.HMA(C, 15)),
    "vwma": lambda: (ours.vwma(C, V, 20), talib.VWMA(C, V, 20)),
    "ema": lambda: (ours.ema(C, 20), talib.EMA(C, 20)),
    "dema": lambda: (ours.dema(C, 12), talib.DEMA(C, 12)),
    "tema": lambda: (ours.tema(C, 12), talib.TEMA(C, 12)),
    "t3": lambda: (ours.t3(C), talib.T3(C)),
    "zlema": lambda: (ours.zlema(C, 12), talib.ZLEMA(C, 12)),
    "kama": lambda: (ours.kama(C, 10), talib.KAMA(C, 10)),
    "rsi": lambda: (ours.rsi(C), talib.RSI(C)),
    "cmo": lambda: (ours.cmo(C), talib.CMO(C)),
    "stochrsi": lambda: (ours.stochrsi(C).d, talib.STOCHRSI(C)[1]),
    "stoch": lambda: (ours.stoch(H, L, C).d, talib.STOCH(H, L, C)[1]),
    "stochf": lambda: (ours.stochf(H, L, C).k, talib.STOCHF(H, L, C)[0]),
    "willr": lambda: (ours.willr(H, L, C), talib.WILLR(H, L, C)),
    "macd": lambda: (ours.macd(C).signal, talib.MACD(C)[1]),
    "apo": lambda: (ours.apo(C), talib.APO(C, 12, 26, 1)),
    "ppo": lambda: (ours.ppo(C), talib.PPO(C, 12, 26, 1)),
    "cci": lambda: (ours.cci(H, L, C), talib.CCI(H, L, C)),
    "mfi, of whole numbers whose sums do not round": lambda: (
        ours.mfi(*(np.round(x * 100) for x in (H, L, C)), V), talib.MFI(*(np.round(x * 100) for x in (H, L, C)), V)
    ),
    "ultosc": lambda: (ours.ultosc(H, L, C), talib.ULTOSC(H, L, C)),
    "trix": lambda: (ours.trix(C, 15), talib.TRIX(C, 15)),
    "tsi": lambda: (ours.tsi(C), talib.TSI(C)),
    "bop": lambda: (ours.bop(P, H, L, C), talib.BOP(P, H, L, C)),
    "plus_di": lambda: (ours.plus_di(H, L, C), talib.PLUS_DI(H, L, C)),
    "minus_di": lambda: (ours.minus_di(H, L, C), talib.MINUS_DI(H, L, C)),
    "dx": lambda: (ours.dx(H, L, C), talib.DX(H, L, C)),
    "adx": lambda: (ours.adx(H, L, C), talib.ADX(H, L, C)),
    "adxr": lambda: (ours.adxr(H, L, C), talib.ADXR(H, L, C)),
    "aroonosc": lambda: (ours.aroonosc(H, L), talib.AROONOSC(H, L)),
    "vortex": lambda: (ours.vortex(H, L, C).plus, talib.VORTEX(H, L, C)[0]),
    "bollinger": lambda: (ours.bollinger(C).upper, talib.BBANDS(C, 20, 2, 2)[0]),
    "keltner": lambda: (ours.keltner(H, L, C).upper, talib.KC(H, L, C)[0]),
    "donchian": lambda: (ours.donchian(H, L).lower, talib.DONCHIAN(H, L)[2]),
    "supertrend": lambda: (ours.supertrend(H, L, C).level, talib.SUPERTREND(H, L, C)[0]),
    "sar": lambda: (ours.sar(H, L), talib.SAR(H, L)),
    "adosc": lambda: (ours.adosc(H, L, C, V), talib.ADOSC(H, L, C, V)),
    "cmf": lambda: (ours.cmf(H, L, C, V), talib.CMF(H, L, C, V)),
    "efi": lambda: (ours.efi(C, V), talib.EFI(C, V)),
    "obv, its change over the window": lambda: (
        ours.obv(C, V, 30)[30:], (talib.OBV(C, V)[30:] - talib.OBV(C, V)[:-30])
    ),
    "linearreg": lambda: (ours.linearreg(C), talib.LINEARREG(C)),
    "linearreg_slope": lambda: (ours.linearreg_slope(C), talib.LINEARREG_SLOPE(C)),
    "correl": lambda: (ours.correl(H, L), talib.CORREL(H, L)),
    "beta": lambda: (ours.beta(L, H, 5), talib.BETA(H, L, 5)),
    "atr": lambda: (ours.atr(H, L, C), talib.ATR(H, L, C)),
    "natr": lambda: (ours.natr(H, L, C), talib.NATR(H, L, C)),
    "stddev": lambda: (ours.stddev(C, 24), talib.STDDEV(C, 24)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_equals_talib_to_rounding(name):
    mine, theirs = PAIRS[name]()
    np.testing.assert_allclose(mine[SETTLED:], theirs[SETTLED:], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("pattern", ["engulfing", "hammer", "3whitesoldiers", "hikkake", "morningstar"])
def test_a_pattern_is_talibs(pattern):
    mine = ours.candle_pattern(P, H, L, C, pattern=pattern)
    np.testing.assert_array_equal(mine[30:], getattr(talib, f"CDL{pattern.upper()}")(P, H, L, C)[30:])


def test_an_unknown_pattern_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Unknown candle pattern"):
        ours.candle_pattern(P, H, L, C, pattern="engulfin")
