"""Wishes: the next request from book and blotter alone, until the venue has what is wanted, and never more sold than is held."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain.venue import OrderList
from atb.engine import records
from atb.engine.policy import RiskPolicy
from atb.live.execution.planning import Cancel, Replace, SlotPlanner, list_of
from atb.live.execution.protection import prices_of
from atb.live.journal.step import Step
from tests.live.fake_broker import BAR, BOTH, GUARDED, PLAIN, Table, portfolio_of, report_of, want

OCO = replace(BOTH, lists=frozenset(("oco",)), replaces=False)
LADDER = replace(GUARDED, ladder=((0.02, 0.3), (0.04, 0.3)))


def planner(table, capabilities=BOTH, **more):
    values = {"bar_ms": BAR, "blotter": table.blotter, "capabilities": capabilities, **more}
    return SlotPlanner(0, table.book.slot(0), table.book.parameters(0), table.makers[0], **values)


def held(quantity=1.0, policy=GUARDED):
    table = Table(portfolio_of(policy))
    table.hold(quantity)
    return table


def resting(table, *orders, list_id=None):
    return [table.out(order, list_id=list_id) for order in orders]


def stop_at(table, price, quantity="1"):
    return table.order("stop", "stop", quantity, stop_price=Decimal(price))


def shape(request):
    """Return what a request asks for: role, type, quantity and price of each order."""
    if isinstance(request, Cancel):
        return ["cancel", *(order.order.role for order in request.group)]
    orders = [request.order] if isinstance(request, Replace) else request.orders
    return [
        (order.role, order.type, float(order.quantity), float(order.stop_price or order.price or 0)) for order in orders
    ]


# --- entries ------------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_where_nothing_is_wanted():
    table = Table()
    assert [ask() for ask in (planner(table).leave, planner(table).protect, planner(table).enter)] == [None, None, None]


def test_a_market_entry_brings_stop_and_target_along_and_has_a_worst_price():
    table = Table()
    want(table.book, 1.0)
    request = planner(table, band=0.02).enter()
    assert isinstance(request.order, OrderList)
    assert request.order.kind == "opoco"
    assert shape(request) == [
        ("entry", "market", 1.0, 102.0),
        ("stop", "stop", 1.0, 95.04),
        ("target", "limit", 1.0, 110.06),
    ]
    assert request.list_id == request.order.client_id


def test_the_stop_of_a_ladder_is_one_for_all_of_it():
    table = Table(portfolio_of(LADDER))
    want(table.book, 1.0)
    assert shape(planner(table).enter())[1:] == [("stop", "stop", 1.0, 95.04)]  # of a fill with slippage


def test_a_limit_entry_brings_the_stop_of_its_own_price():
    table = Table(portfolio_of(replace(GUARDED, take_profit=None)))
    want(table.book, 1.0, kind=records.AT_LIMIT, at=90.0)
    request = planner(table).enter()
    assert (request.order.kind, shape(request)) == ("opo", [("entry", "limit", 1.0, 90.0), ("stop", "stop", 1.0, 85.5)])


@pytest.mark.parametrize("why", ["no lists", "refused", "stop entry", "no stop", "no room for a stop", "short"])
def test_an_entry_goes_alone_where_it_cannot_bring_its_stop(why):
    table = Table(portfolio_of(RiskPolicy() if why == "no stop" else replace(GUARDED, allow_short=True)))
    if why == "no room for a stop":
        table.hold(1.0)
        resting(table, stop_at(table, 95))
    if why == "stop entry":
        want(table.book, 1.0, kind=records.AT_STOP, at=101.0)
    else:
        want(table.book, -1.0 if why == "short" else 1.0)
    capabilities = PLAIN if why == "no lists" else BOTH
    room = 0 if why == "no room for a stop" else None
    request = planner(table, capabilities, plain=why == "refused", room=room).enter()
    assert [order.role for order in request.orders] == ["entry"]
    assert request.list_id is None
    assert request.orders[0].price is None


def test_what_is_added_to_a_position_brings_a_stop_for_itself():
    table = Table(portfolio_of(replace(GUARDED, take_profit=None)))
    table.hold(1.0)
    resting(table, stop_at(table, 95))
    want(table.book, 0.5)
    request = planner(table).enter()
    assert (request.order.kind, [order[:3] for order in shape(request)]) == (
        "opo",
        [("entry", "market", 0.5), ("stop", "stop", 0.5)],
    )


@pytest.mark.parametrize(
    ("funds", "quantity", "price"),
    [
        ("1000", "1.00000", "102"),  # more than enough
        ("101.5", "1.00000", "101.39"),  # a lower worst price, fees of 0.1 % kept back
        ("50", "0.49925", "100.05"),  # the price that is expected, and what it can pay
    ],
)
def test_the_worst_price_of_an_entry_is_what_the_account_can_pay_and_then_its_quantity(funds, quantity, price):
    table = Table(portfolio_of(slippage=0.0005))
    want(table.book, 1.0)
    (entry, *legs) = planner(table, funds=Decimal(funds)).enter().orders
    assert (entry.quantity, entry.price) == (Decimal(quantity), Decimal(price))
    assert {leg.quantity for leg in legs} == {entry.quantity}


@pytest.mark.parametrize(("quote", "price"), [(None, "102"), ("108", "110.16"), ("96", "97.92")])
def test_the_worst_price_of_an_entry_follows_the_last_price_where_that_has_leapt_from_the_close(quote, price):
    table = Table(portfolio_of())
    want(table.book, 1.0)
    (entry, *_) = planner(table, quote=quote and Decimal(quote)).enter().orders
    assert entry.price == Decimal(price)


def test_sums_of_decimals_are_sent_as_whole_lots():
    table = Table(portfolio_of(replace(GUARDED, take_profit=None)))
    table.hold(0.3)
    want(table.book, 0.10225999999999999, kind=records.AT_LIMIT, at=90.0)
    assert [order.quantity for order in planner(table).enter().orders] == [Decimal("0.10226")] * 2


def test_a_limit_entry_that_is_met_in_part_is_cancelled_with_its_list_and_sent_again_for_the_rest_as_a_list():
    table = Table(portfolio_of(replace(GUARDED, take_profit=None)))
    want(table.book, 1.0, kind=records.AT_LIMIT, at=90.0)
    entry, stop = resting(table, *planner(table).enter().orders, list_id="list")
    assert planner(table).protect() is None
    table.reports.take_fill(table.fill_of(entry.order, "0.4", price="90"), Step(BAR))
    assert shape(planner(table).protect()) == ["cancel", "entry", "stop"], "what it received is locked for its legs"
    for order in (entry, stop):
        order.end("cancelled")
    (held,) = planner(table).protect().orders
    assert (held.role, held.quantity, held.stop_price) == ("stop", Decimal("0.4"), Decimal("85.5"))
    assert planner(table).enter() is not None
    resting(table, held)
    assert planner(table).protect() is None
    rest = planner(table).enter()
    assert (rest.order.kind, shape(rest)) == ("opo", [("entry", "limit", 0.6, 90.0), ("stop", "stop", 0.6, 85.5)])
    assert planner(table, room=0).enter() is None, "its stop could not rest beside the other"


def test_a_part_too_small_to_be_sold_does_not_end_a_limit_entry():
    table = Table(portfolio_of(replace(GUARDED, take_profit=None)))
    want(table.book, 1.0, kind=records.AT_LIMIT, at=90.0)
    entry, _ = resting(table, *planner(table).enter().orders, list_id="list")
    table.reports.take_fill(table.fill_of(entry.order, "0.04", price="90"), Step(BAR))
    assert planner(table).protect() is None


def test_a_venue_with_opo_alone_gets_the_stop_without_the_target():
    table = Table()
    want(table.book, 1.0)
    request = planner(table, replace(BOTH, lists=frozenset(("oco", "opo")))).enter()
    assert (request.order.kind, len(request.orders)) == ("opo", 2)


@pytest.mark.parametrize("state", ["out", "unknown", "owed", "leaving"])
def test_no_second_entry_is_asked_for(state):
    table = Table()
    if state == "leaving":
        table.hold(1.0)
        table.book.state.slots[0]["exit"] = -1.0
    want(table.book, 1.0)
    if state != "leaving":
        working = table.out(table.order(), unknown=state == "unknown")
        if state == "owed":
            working.update(report_of(working.order, "cancelled", "0.5"))
    assert planner(table).enter() is None


def test_an_entry_that_the_book_dropped_or_changed_is_withdrawn_with_its_list():
    table = Table()
    pair = resting(table, table.order("entry", "limit", price=Decimal(90)), stop_at(table, 85), list_id="list")
    assert shape(planner(table).protect()) == ["cancel", "entry", "stop"]
    want(table.book, 1.0, kind=records.AT_LIMIT, at=90.0)
    assert planner(table).protect() is None, "it is what is wanted"
    want(table.book, 1.0, kind=records.AT_LIMIT, at=91.0)
    assert planner(table).protect().group == tuple(pair)
    want(table.book, 0.5, kind=records.AT_LIMIT, at=90.0)
    assert planner(table).protect().group == tuple(pair)


# --- protection ---------------------------------------------------------------------------------------------------------


def test_a_position_gets_a_pair_or_where_there_is_none_a_stop_for_all_of_it():
    table = held()
    assert shape(planner(table).protect()) == [("stop", "stop", 1.0, 95.0), ("target", "limit", 1.0, 110.0)]
    bare = held(policy=replace(GUARDED, take_profit=None))
    assert shape(planner(bare, PLAIN).protect()) == [("stop", "stop", 1.0, 95.0)]


def test_before_the_first_bar_nothing_is_named_and_so_nothing_placed():
    assert planner(held(), bar_ms=0).protect() is None


def test_a_stop_that_moved_is_replaced_in_one_request_where_the_venue_can():
    table = held(policy=replace(GUARDED, take_profit=None))
    (old,) = resting(table, stop_at(table, 90))
    request = planner(table).protect()
    assert isinstance(request, Replace)
    assert (request.old, shape(request)) == (old, [("stop", "stop", 1.0, 95.0)])
    assert planner(table, PLAIN).protect() is None, "an old stop is better than none between two requests"
    assert not planner(table, PLAIN).leaving
    table.book.state.slots[0]["mark"] = 94.0
    assert planner(table, PLAIN).leaving, "the close has passed the wanted stop, and the old one has not seen it"
    assert not planner(table).leaving


def test_what_is_free_is_protected_before_what_rests_is_touched():
    table = held(2.0, replace(GUARDED, take_profit=None))
    (old,) = resting(table, stop_at(table, 90, "1"))
    request = planner(table).protect()
    assert shape(request) == [("stop", "stop", 1.0, 95.0)]
    resting(table, *request.orders)
    request = planner(table).protect()
    assert (request.old, shape(request)) == (old, [("stop", "stop", 1.0, 95.0)])
    old.end("cancelled")
    resting(table, request.order)
    assert planner(table).protect() is None, "two stops at one price are one"


def test_where_no_further_stop_may_rest_what_is_free_joins_one():
    table = held(2.0, replace(GUARDED, take_profit=None))
    (old,) = resting(table, stop_at(table, 95, "1"))
    request = planner(table, room=0).protect()
    assert (request.old, shape(request)) == (old, [("stop", "stop", 2.0, 95.0)])


def test_a_ladder_is_laid_out_part_by_part_under_a_stop_for_the_rest():
    table = held(policy=LADDER)
    resting(table, stop_at(table, 95))
    uncovered = []
    while (request := planner(table).protect()) is not None:
        obey(table, request)
        uncovered.append(1 - sum(order.leaves_quantity for order in table.blotter.open(0, "stop")))
    rungs = [Decimal("0.3"), Decimal("0.3"), Decimal("0.4")]
    assert uncovered == [part for rung in rungs for part in (rung, 0)], "never more than the next rung"


def test_a_pair_gives_way_to_a_stop_in_one_request():
    table = held(policy=replace(GUARDED, take_profit=None))
    pair = resting(table, stop_at(table, 90), table.order("target", "limit", price=Decimal(110)), list_id="pair")
    request = planner(table).protect()
    assert (request.group, shape(request)) == (tuple(pair), [("stop", "stop", 1.0, 95.0)])


@pytest.mark.parametrize(
    ("resting_quantity", "stop", "moves"),
    [
        ("0.9999", "95", False),
        ("1.0001", "95", False),
        ("1", "95.01", False),
        ("0.94", "95", True),
        ("1", "95.02", True),
    ],
)
def test_a_crumb_moves_no_pair(resting_quantity, stop, moves):
    table = held()
    target = table.order("target", "limit", resting_quantity, price=Decimal(110))
    resting(table, stop_at(table, stop, resting_quantity), target, list_id="pair")
    assert (planner(table).protect() is not None) == moves
    assert planner(table).covered == (resting_quantity != "0.94")


def test_a_pair_whose_prices_are_refused_to_a_symbol_without_pairs_is_a_stop_alone():
    assert shape(planner(held(), replace(BOTH, lists=frozenset(("opo",)))).protect()) == [("stop", "stop", 1.0, 95.0)]


def test_legs_that_were_last_seen_pending_are_asked_for_before_they_are_judged():
    table = held()
    entry, stop = resting(table, table.order(), stop_at(table, 95, "1.1"), list_id="list")
    stop.update(report_of(stop.order, "pending", quantity=Decimal(0)))
    entry.execute(entry.order.quantity)
    assert not planner(table).settled
    assert planner(table).protect() is None
    stop.update(report_of(stop.order, quantity=Decimal(1)))
    assert planner(table).settled


def test_a_stop_too_many_is_withdrawn():
    table = held(policy=replace(GUARDED, take_profit=None))
    resting(table, stop_at(table, 95), stop_at(table, 95))
    assert shape(planner(table).protect()) == ["cancel", "stop"]


def test_a_target_that_cannot_rest_is_taken_alone():
    assert shape(planner(held(), reached=True).protect()) == [("target", "limit", 1.0, 110.0)]


def test_the_guards_of_an_entry_that_is_out_are_not_alive_and_not_counted():
    table = held()
    want(table.book, 1.0)
    resting(table, table.order(), stop_at(table, 95), list_id="list")
    assert shape(planner(table).protect())[0] == ("stop", "stop", 1.0, 95.0)


# --- leaving ------------------------------------------------------------------------------------------------------------


def leaving(crossed=False):
    table = held()
    if not crossed:
        table.book.state.slots[0]["exit"], table.book.state.slots[0]["exit_reason"] = -1.0, records.SIGNAL_EXIT
    return table


def test_an_exit_first_withdraws_what_rests_group_by_group():
    table = leaving()
    pair = resting(table, stop_at(table, 95), table.order("target", "limit", price=Decimal(110)), list_id="pair")
    request = planner(table, PLAIN).leave()
    assert (request.group, shape(request)) == (tuple(pair), ["cancel", "stop", "target"])
    for order in pair:
        order.end("cancelled")
    assert shape(planner(table, PLAIN).leave()) == [("exit", "market", 1.0, 0.0)]


def test_an_exit_takes_the_place_of_a_single_stop_where_the_venue_can():
    table = leaving()
    (stop,) = resting(table, stop_at(table, 95))
    request = planner(table).leave()
    assert isinstance(request, Replace)
    assert (request.old, shape(request)) == (stop, [("exit", "market", 1.0, 0.0)])
    stop.execute(Decimal("0.5"))
    assert isinstance(planner(table).leave(), Replace), "also one that was executed in part"


def test_an_exit_takes_the_place_of_a_pair_too_and_of_several_part_by_part():
    table = leaving()
    pair = resting(
        table, stop_at(table, 95, "0.3"), table.order("target", "limit", "0.3", price=Decimal(110)), list_id="pair"
    )
    resting(table, stop_at(table, 95, "0.7"))
    sold = []
    while (request := planner(table).leave()) is not None:
        assert isinstance(request, Replace)
        obey(table, request)
        sold.append(float(request.order.quantity))
    assert sold == [0.3, 0.7]
    assert pair[1].ended
    assert float(table.book.slot(0)["quantity"]) == 0.0


def test_while_an_exit_is_on_its_way_or_an_answer_is_missing_nothing_more_is_asked():
    table = leaving()
    working = table.out(table.order("exit"))
    assert planner(table).leave() is None
    working.end("rejected")
    lost = table.out(table.order("exit"), unknown=True)
    assert planner(table).leave() is None
    lost.unknown = False
    lost.end("absent")
    assert shape(planner(table).leave()) == [("exit", "market", 1.0, 0.0)]
    assert planner(table).protect() is None, "what leaves is not protected anew"


def test_a_position_whose_stop_the_price_has_passed_is_sold_as_the_stop():
    assert shape(planner(leaving(crossed=True), crossed=True).leave()) == [("stop", "market", 1.0, 0.0)]


def test_nothing_leaves_where_nothing_is_held():
    table = Table()
    table.book.state.slots[0]["exit"] = -1.0
    assert planner(table).leave() is None


def test_a_group_is_withdrawn_under_the_name_it_was_sent_by():
    table = held()
    stop = resting(table, stop_at(table, 95))
    pair = resting(table, stop_at(table, 95), table.order("target", "limit", price=Decimal(110)), list_id="pair")
    entry = resting(table, table.order(), stop_at(table, 95), list_id="both")
    assert list_of(tuple(stop)) == stop[0].order
    assert [(list_of(tuple(group)).client_id, list_of(tuple(group)).kind) for group in (pair, entry)] == [
        ("pair", "oco"), ("both", "opo"),
    ]  # fmt: skip


# --- all of it together -------------------------------------------------------------------------------------------------

POLICIES = st.builds(
    lambda stop, target, rungs: replace(RiskPolicy(), stop_loss=stop, take_profit=target, ladder=rungs),
    st.sampled_from([0.02, 0.05]),
    st.sampled_from([None, 0.1]),
    st.sampled_from([(), ((0.02, 0.3),), ((0.02, 0.3), (0.04, 0.5))]),
)
LEFT = st.lists(  # what an earlier state of affairs left resting: quantity, stop, target
    st.tuples(
        st.sampled_from(["0.3", "0.5", "1"]), st.sampled_from(["90", "95", "98"]), st.sampled_from([None, "102"])
    ),
    max_size=3,
)


def obey(table, request):
    """Do at a perfect venue what is asked for."""
    if isinstance(request, Cancel | Replace):
        for working in request.group:
            working.end("cancelled")
    if isinstance(request, Cancel):
        return
    orders, list_id = ((request.order,), None) if isinstance(request, Replace) else (request.orders, request.list_id)
    for order in orders:
        working = table.out(order, list_id=list_id)
        if order.type == "market":
            table.reports.take_fill(table.fill_of(order), Step(BAR))
            working.end("filled")


def offered(table):
    """Return what the resting sells would sell, each pair once."""
    groups = {
        working.list_id or working.order.client_id: working.leaves_quantity
        for working in table.blotter.open(0)
        if working.order.side == "sell"
    }
    return sum(groups.values(), Decimal(0))


def covered_by(table):
    return sum((rest.leaves_quantity for rest in table.blotter.open(0, "stop")), Decimal(0))


def pairs_of(groups):
    """Return quantities by prices of stop and target, whatever the parts they are divided into."""
    found = {}
    for stop, target, quantity in groups:
        found[stop, target] = found.get((stop, target), Decimal(0)) + quantity
    return found


@given(POLICIES, st.sampled_from([1.0, 1.3, 2.0]), LEFT, st.sampled_from([BOTH, OCO, PLAIN]), st.booleans())
def test_wishes_end_with_what_is_wanted_and_never_offer_more_than_is_held(policy, quantity, left, capabilities, leaves):
    if capabilities is PLAIN:  # preflight refuses targets where there are no pairs
        policy = replace(policy, take_profit=None, ladder=())
    table = Table(portfolio_of(policy))
    table.hold(quantity)
    for number, (amount, stop, target) in enumerate(left):
        if offered(table) + Decimal(amount) > Decimal(str(quantity)):
            continue
        orders = [stop_at(table, stop, amount)]
        if target is not None and "oco" in capabilities.lists:
            orders.append(table.order("target", "limit", amount, price=Decimal(target)))
        resting(table, *orders, list_id=f"left{number}" if len(orders) > 1 else None)
    if leaves:
        table.book.state.slots[0]["exit"] = -quantity
    requests, paired = 0, policy.take_profit is not None or policy.ladder
    for ask in ("leave", "protect", "enter"):
        while (request := getattr(planner(table, capabilities), ask)()) is not None:
            before = covered_by(table)
            obey(table, request)
            requests += 1
            assert offered(table) <= Decimal(str(quantity))
            assert requests < 30, "it never ends"
            assert leaves or paired or covered_by(table) >= before, "less is covered than before"
    assert [getattr(planner(table, capabilities), ask)() for ask in ("leave", "protect", "enter")] == [None] * 3
    if leaves:
        assert (float(table.book.slot(0)["quantity"]), table.blotter.open(0)) == (0.0, [])
        return
    assert covered_by(table) == Decimal(str(quantity))
    if capabilities.replaces:
        wanted = table.makers[0].units(table.book.slot(0), table.book.parameters(0))
        groups = {
            working.list_id or working.client_id: table.blotter.same_list(working) for working in table.blotter.open(0)
        }
        rests = [
            (group[0].order.stop_price, group[1].order.price if len(group) > 1 else None, group[0].leaves_quantity)
            for group in groups.values()
        ]
        assert pairs_of(rests) == pairs_of([(*prices_of(unit), unit.quantity) for unit in wanted])


# --- cover --------------------------------------------------------------------------------------------------------------


def test_a_position_is_covered_by_stops_that_are_known_to_rest_and_by_nothing_else():
    table = held()
    assert not planner(table).covered
    part, rest = resting(table, stop_at(table, "95", "0.4"), stop_at(table, "95", "0.6"))
    assert planner(table).covered
    rest.unknown = True  # whether it rests nobody has said
    assert not planner(table).covered
    rest.unknown, part.state = False, "cancelled"
    assert not planner(table).covered


def test_a_stop_that_waits_for_its_entry_covers_nothing():
    table = held()
    orders = (table.order("entry", "market", "1"), stop_at(table, "95"))
    entry, _ = resting(table, *orders, list_id="a-list")
    assert not planner(table).covered
    entry.state = "filled"
    assert planner(table).covered


def test_nothing_held_a_position_on_its_way_out_and_one_that_wants_no_stop_need_no_cover():
    assert planner(Table()).covered
    assert planner(held(policy=replace(GUARDED, stop_loss=None, take_profit=None))).covered
    table = held()
    table.book.state.slots[0]["exit"] = -1.0
    assert planner(table).covered
