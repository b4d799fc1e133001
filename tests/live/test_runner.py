"""The runner's loop: what it journals is the backtest, bit by bit; what it refuses; how it goes on."""

import pytest
from sqlalchemy import create_engine, make_url, select, update

from atb.db import open_database
from atb.db.tables import LeaseRow, SessionRow
from atb.engine.codes import REASONS, ROLES, SIDES
from atb.engine.policy import RiskPolicy
from atb.errors import DatabaseLostError, DataError, InputError, LeaseError
from atb.live.execution.desk import PaperTrading
from atb.live.journal.breakers import Breakers
from atb.live.portfolio import Portfolio
from atb.live.runner import RunnerContext, Window, run_paper
from atb.strategies import make_strategy
from atb.times import at_ms
from tests.live.desk import BUSY, first_open, read_journal, warm_result
from tests.prediction import models
from tests.seeds import seeds


def in_time(rows):
    return sorted(rows, key=lambda row: (row["time_ms"], row["trade_id"]))


def assert_equal_to_backtest(journal, result):
    """Compare every order, trade, equity value and refusal: money exactly, floats bit by bit."""
    orders, trades = result.outcome.orders, result.outcome.trades
    fills = sorted(journal["fill"], key=lambda fill: fill["fill_no"])
    assert len(fills) == len(orders)
    for fill, order in zip(fills, orders, strict=True):
        assert [float(fill[name]) for name in ("price", "quantity", "fee_value")] == [
            order[name] for name in ("price", "quantity", "fee")
        ]
        journalled = (fill["fill_no"], fill["slot"], fill["time_ms"], fill["side"], fill["role"], fill["reason"])
        names = (SIDES[order["side"]], ROLES[order["role"]], REASONS[order["reason"]])
        assert journalled == (order["id"], order["slot"], order["time"], *names)
    assert len(journal["trade"]) == len(trades)
    for row, trade in zip(journal["trade"], trades, strict=True):
        money = ("quantity", "entry_price", "exit_price", "fees", "financing", "pnl")
        assert [float(row[name]) for name in money] == [trade[name] for name in money]
        names = {"entry_ms": "entry_time", "exit_ms": "exit_time", "mfe": "mfe", "mae": "mae", "bars_held": "bars_held",
                 "additions": "additions"}  # fmt: skip
        assert [row[ours] for ours in names] == [trade[theirs] for theirs in names.values()]
        assert (row["exit_reason"], row["strategy"]) == (
            REASONS[trade["reason"]], result.slots[trade["slot"]].strategy.name,
        )  # fmt: skip
    assert [float(row["equity"]) for row in journal["equity"]] == list(result.equity)
    assert [at_ms(row["bar_ms"]) for row in journal["equity"]] == list(result.index)
    signals = result.inputs.signals["side"]
    decided = sorted(journal["decision"], key=lambda row: (row["slot"], row["bar_ms"]))
    assert [row["side"] for row in decided] == [None if s != s else s for s in signals]


@pytest.mark.parametrize("seed", seeds(4, quick=2))
def test_a_session_equals_the_backtest_bit_by_bit(sqlite_desk, seed):
    result = warm_result(sqlite_desk.stock(260, seed))
    summary = sqlite_desk.trade(sqlite_desk.promote(result), since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    assert len(result.trades) > 10
    assert_equal_to_backtest(journal, result)
    assert (summary.bars, summary.trades, summary.equity) == (
        253, len(result.outcome.trades), result.equity.iloc[-1],
    )  # fmt: skip


def test_a_session_on_either_database_equals_the_backtest(desk):
    result = warm_result(desk.stock(120, 7))
    desk.trade(desk.promote(result), since=first_open(result))
    assert_equal_to_backtest(read_journal(desk.url), result)


def test_refusals_of_the_backtest_are_refusals_of_the_session(sqlite_desk):
    greedy = RiskPolicy(fraction=3.0, stop_loss=0.02)
    result = warm_result(sqlite_desk.stock(150, 2), policy=greedy)
    sqlite_desk.trade(sqlite_desk.promote(result), since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    refused = [row["refusal"] for row in (*journal["decision"], *journal["intent"]) if row["refusal"]]
    assert len(refused) == len(result.refused) > 0
    assert set(refused) == set(result.refused["reason"])
    assert_equal_to_backtest(journal, result)


def test_a_model_trades_as_in_its_backtest(sqlite_desk):
    from atb.data.catalogue.writing import save_bars
    from atb.data.providers.sample import START
    from atb.prediction.bundle import load_bundle
    from atb.prediction.predictor import OnnxPredictor

    folder = models.saved("logistic", sqlite_desk.models_root)
    market = models.market()[0].slice(end=models.market()[0].frame.index[900])
    assert str(market.frame.index[0]).startswith(START)
    save_bars(market, root=sqlite_desk.bars_root, source="the synthetic market")
    result = warm_result(
        market, strategy=make_strategy("ml_basic", enter=0.505, leave=0.5), policy=BUSY,
        predictor=OnnxPredictor(load_bundle(folder)),
    )  # fmt: skip
    path = sqlite_desk.promote(result, model=folder)
    sqlite_desk.trade(path, since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    assert len(result.trades) > 3
    assert [row["prediction"] for row in journal["decision"]] == list(result.inputs.predictions[0])
    assert_equal_to_backtest(journal, result)


def test_a_session_goes_on_where_it_stopped(desk):
    """Stopped every few bars, in a position and out of one: each start finds its state and its working orders."""
    result = warm_result(desk.stock(200, 5))
    path, index = desk.promote(result), result.index
    cuts = range(5, len(index), 8)
    assert 0 < sum(result.positions.iloc[cut - 1, 0] != 0 for cut in cuts) < len(cuts)
    for cut in cuts:
        summary = desk.trade(path, since=first_open(result), until=index[cut].isoformat())
        assert summary.bars == (5 if cut == 5 else 8)
    assert desk.trade(path).bars == len(index) - cuts[-1]
    assert desk.trade(path).bars == 0
    assert_equal_to_backtest(read_journal(desk.url), result)


def test_an_earlier_end_than_what_was_traded_trades_nothing(sqlite_desk):
    result = warm_result(sqlite_desk.stock(100, 5))
    path, index = sqlite_desk.promote(result), result.index
    sqlite_desk.trade(path, since=first_open(result), until=index[50].isoformat())
    assert sqlite_desk.trade(path, until=index[20].isoformat()).bars == 0


def test_a_session_cannot_be_moved_to_another_start(sqlite_desk):
    result = warm_result(sqlite_desk.stock(100, 5))
    path = sqlite_desk.promote(result)
    sqlite_desk.trade(path, since=first_open(result), until=result.index[10].isoformat())
    with pytest.raises(InputError, match="began at another bar"):
        sqlite_desk.trade(path, since=result.index[3].isoformat())


def test_a_start_without_warm_up_is_refused_and_leaves_no_session(sqlite_desk):
    bars = sqlite_desk.stock(100, 5)
    path = sqlite_desk.promote(warm_result(bars))
    with pytest.raises(DataError, match="needed before"):
        sqlite_desk.trade(path, since=bars.frame.index[2].isoformat())
    assert read_journal(sqlite_desk.url)["session"] == []


def test_two_accounts_trade_side_by_side(sqlite_desk):
    result = warm_result(sqlite_desk.stock(100, 5))
    path = sqlite_desk.promote(result)
    for account in ("one", "two"):
        sqlite_desk.trade(path, account=account, since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    assert [row["account"] for row in journal["session"]] == ["one", "two"]
    ids = [row["client_id"] for row in journal["intent"]]
    assert len(set(ids)) == len(ids)
    assert len(journal["fill"]) == 2 * len(result.orders)


def test_every_fill_has_its_intent_and_no_working_order_is_forgotten(sqlite_desk):
    result = warm_result(sqlite_desk.stock(200, 9))
    sqlite_desk.trade(sqlite_desk.promote(result), since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    intents = {row["client_id"]: row for row in journal["intent"]}
    for fill in journal["fill"]:
        intent = intents[fill["client_id"]]
        assert (intent["state"], intent["role"], intent["side"]) == ("filled", fill["role"], fill["side"])
        assert intent["quantity"] == fill["quantity"]
    resting = {row["role"] for row in intents.values() if row["state"] == "live"}
    held = journal["kernel_state"][0]["payload"]["slots"][0]["quantity"]
    assert resting == ({"stop", "target"} if held else set())


def test_a_step_is_one_transaction(sqlite_desk, monkeypatch):
    """Whatever statement of a step fails, the journal stays between two bars, and the next start completes it."""
    from sqlalchemy import event

    result = warm_result(sqlite_desk.stock(60, 4))
    path = sqlite_desk.promote(result)
    sqlite_desk.trade(path, account="calm", since=first_open(result))
    database, failed = open_database(sqlite_desk.url), 0

    class Broken(Exception):
        pass

    counter = {"left": 0}

    def fail(connection, cursor, statement, parameters, context, executemany):
        counter["left"] -= 1
        if counter["left"] == 0:
            raise Broken(statement)

    event.listen(database.engine, "before_cursor_execute", fail)
    rough = {"bars_root": sqlite_desk.bars_root, "window": Window(first_open(result))}
    portfolio = Portfolio((sqlite_desk.plan(path),))
    for limit in range(8, 700, 9):  # each start fails a little later than the one before, at every kind of statement
        counter["left"] = limit % 97 + 8
        try:
            run_paper(portfolio, RunnerContext(database, "rough"), **rough)
            break
        except Broken:
            failed += 1
            with database.engine.begin() as connection:  # as if the process were dead: giving back may be what failed
                connection.execute(update(LeaseRow).values(until_ms=0))
    event.remove(database.engine, "before_cursor_execute", fail)
    run_paper(portfolio, RunnerContext(database, "rough"), **rough)
    database.close()
    assert failed > 8
    journal = read_journal(sqlite_desk.url)
    for table in ("decision", "fill", "trade", "equity"):
        rows = {"calm": [], "rough": []}
        for row in journal[table]:
            account = row["session_id"].partition("-")[0]
            hidden = {"session_id", "client_id", "trade_id", "intents"}
            rows[account].append({name: value for name, value in row.items() if name not in hidden})
        key = "time_ms" if table == "fill" else "trade_no" if table == "trade" else "bar_ms"
        assert sorted(rows["calm"], key=lambda r: r[key]) == sorted(rows["rough"], key=lambda r: r[key])


@pytest.fixture
def run_with(desk, monkeypatch):
    """Run a desk that does something to the world before its tenth bar."""

    def run(act, result, path):
        done, trade = [], PaperTrading.on_moment

        async def disturbed(self, moment, level):
            done.extend(moment.closing)
            if moment.closing and len(done) == 10:
                act()
            await trade(self, moment, level)

        monkeypatch.setattr(PaperTrading, "on_moment", disturbed)
        database = open_database(desk.url)
        try:
            context = RunnerContext(database, "paper", grace_s=0.5)
            window = Window(first_open(result))
            return run_paper(Portfolio((desk.plan(path),)), context, bars_root=desk.bars_root, window=window)
        finally:
            database.close()

    return run


def administer(postgres, statement):
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lost_connection_is_made_again(desk, postgres, run_with):
    result = warm_result(desk.stock(60, 3))
    path, name = desk.promote(result), make_url(desk.url).database
    kick = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    assert run_with(lambda: administer(postgres, kick), result, path).status == "finished"
    assert_equal_to_backtest(read_journal(desk.url), result)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_is_gone_is_one_error(desk, postgres, run_with):
    result = warm_result(desk.stock(60, 3))
    path, name = desk.promote(result), make_url(desk.url).database
    gone = f"DROP DATABASE {name} WITH (FORCE)"
    with pytest.raises(DatabaseLostError, match="journal cannot be written"):
        run_with(lambda: administer(postgres, gone), result, path)
    administer(postgres, f"CREATE DATABASE {name}")  # the fixture drops it again


def test_a_runner_whose_account_was_taken_over_writes_nothing_more(desk, run_with):
    result = warm_result(desk.stock(60, 3))
    path = desk.promote(result)
    other = open_database(desk.url)

    def take_over():
        with other.engine.begin() as connection:
            connection.execute(update(LeaseRow).values(epoch=LeaseRow.epoch + 1, holder="elsewhere 1 ?"))

    with pytest.raises(LeaseError, match="taken over"):
        run_with(take_over, result, path)
    with other.session(read_only=True) as session:
        assert session.scalars(select(LeaseRow)).one().until_ms > 0  # the new holder keeps it
    other.close()
    assert len(read_journal(desk.url)["decision"]) == 9


def test_a_session_says_with_which_limits_it_was_started_last(sqlite_desk):
    result = warm_result(sqlite_desk.stock(80, 1))
    path, halfway = sqlite_desk.promote(result), result.index[len(result.index) // 2].isoformat()
    sqlite_desk.trade(path, since=first_open(result), until=halfway, breakers=Breakers(orders_per_minute=7))
    assert config_of(sqlite_desk)["limits"] == {
        "breakers": Breakers(orders_per_minute=7).to_json(), "max_loss": None,
    }  # fmt: skip
    sqlite_desk.trade(path, breakers=Breakers(orders_per_minute=9), max_loss=9_000.0)
    found = config_of(sqlite_desk)["limits"]
    assert (Breakers.from_json(found["breakers"]), found["max_loss"]) == (Breakers(orders_per_minute=9), 9_000.0)


def config_of(desk):
    database = open_database(desk.url)
    with database.session(read_only=True) as session:
        (config,) = session.scalars(select(SessionRow.config))
    database.close()
    return config
