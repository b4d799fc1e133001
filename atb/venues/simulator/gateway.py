"""The request gateway of REST and WebSocket: key, signature, limits, faults, the operation itself, and the ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from atb.venues.simulator import refusals, signing
from atb.venues.simulator.configuration import Key
from atb.venues.simulator.faults import DELAYED, EXECUTED, Fault
from atb.venues.simulator.refusals import Refusal
from atb.venues.simulator.routes import ROUTES

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Fate = Literal["send", "reset", "hold", "truncate"]
_NAMES = ("newClientOrderId", "origClientOrderId", "listClientOrderId", "cancelOrigClientOrderId")
_CHANGES = frozenset(("POST", "DELETE"))
_TEXTS = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request as received.

    Parameters
    ----------
    method, path
        Of the REST API; a request of the WebSocket API has those of its REST counterpart.
    params
        Its parameters, as text.
    key
        Name of the API key, empty if none was sent.
    payload, signature
        The signed text and its signature.
    operation
        Its name in the WebSocket API, empty for REST.
    session
        Whether a logged-in session replaces the signature.
    """

    method: str
    path: str
    params: Mapping[str, str]
    key: str = ""
    payload: str = ""
    signature: str = ""
    operation: str = ""
    session: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a fault can match it."""
        kind = "changes" if self.method in _CHANGES else "reads"
        return (self.path, f"{self.method} {self.path}", kind, *((self.operation,) if self.operation else ()))


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A response, and whether it is sent, cut in half, held for ever, or replaced by a connection reset."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    fate: Fate = "send"


class Gateway:
    """Handles the requests to one exchange."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._count = 0

    def handle(self, request: ApiRequest) -> ApiReply:
        """Handle one request and return its reply; clients change the account only through here."""
        exchange = self._exchange
        exchange.catch_up()
        self._count += 1
        number = self._count
        exchange.requests.append((request.path, dict(request.params)))
        self._note_request(number, request)
        fault = exchange.fault_injector.request_fault(*request.names)
        reply = self._execute_or_refuse(request) if fault is None else self._apply_fault(fault, request, number)
        orders = ROUTES[request.method, request.path].orders if (request.method, request.path) in ROUTES else 0
        headers = exchange.usage.headers(exchange.now_ms(), orders=orders > 0) | reply.headers
        reply = ApiReply(reply.status, reply.body, headers, reply.fate)
        self._note_answer(number, reply)
        exchange.answered(request.method, request.path, request.params)
        return reply

    def _execute_or_refuse(self, request: ApiRequest) -> ApiReply:
        """Run a request that no fault strikes."""
        return _reply_of(partial(self._execute, request))

    def _execute(self, request: ApiRequest) -> Any:
        return self._admit(request)()

    def _admit(self, request: ApiRequest) -> Callable[[], Any]:
        """Check all that is checked before the matching engine or the database is asked; return what asks it."""
        exchange = self._exchange
        route = ROUTES.get((request.method, request.path))
        if route is None:
            raise refusals.not_found()
        if exchange.fault_injector.maintenance and "system" not in request.path:
            raise Refusal(-1000, "Service unavailable from a restricted location: maintenance.", status=503)
        exchange.usage.count_request(route.cost(request.params), exchange.now_ms())
        if not route.signed:
            return partial(route.act, exchange, request.params)
        key = self.authorize(request)
        if request.method in _CHANGES and not key.trade:
            raise refusals.unknown_key()
        if route.orders:
            exchange.usage.count_orders(route.orders, exchange.now_ms())
        act = partial(route.act, exchange, dict(request.params) | {"key": key.name})
        lag_ms = 0 if request.method in _CHANGES else exchange.fault_injector.lag_ms(*request.names)
        return partial(exchange.look_back, lag_ms, act) if lag_ms else act

    def authorize(self, request: ApiRequest) -> Key:
        """Return the key of a signed request.

        Raises
        ------
        Refusal
            If the key, the signature or the time is wrong.
        """
        key = signing.find_key(self._exchange.config.keys, request.key)
        signing.check_time(request.params, self._exchange.server_ms())
        if not request.session:
            signing.check_signature(key, request.payload, request.signature)
        return key

    # --- faults

    def _apply_fault(self, fault: Fault, request: ApiRequest, number: int) -> ApiReply:
        """Handle a request that a fault strikes."""
        if fault.kind in DELAYED:
            return self._execute_later(fault, request, number)
        if fault.kind not in EXECUTED:
            return self._refuse(fault)
        reply = self._execute_or_refuse(request)
        if fault.kind == "error_after":
            return _failure(fault)
        fates: dict[str, Fate] = {"lost": "reset", "held_after": "hold", "truncated": "truncate"}
        return ApiReply(reply.status, reply.body, reply.headers, fates[fault.kind])

    def _refuse(self, fault: Fault) -> ApiReply:
        usage, now = self._exchange.usage, self._exchange.now_ms()
        if fault.kind == "rate_limit":
            refusal = refusals.too_many_requests(fault.retry_after_s)
            return ApiReply(refusal.status, refusal.body(), refusal.headers)
        if fault.kind == "ban":
            usage.ban(now, fault.retry_after_s)
            refusal = refusals.banned(now + fault.retry_after_s * 1_000, fault.retry_after_s)
            return ApiReply(refusal.status, refusal.body(), refusal.headers)
        if fault.kind == "refuse":
            refusal = refusals.named(fault.detail)
            return ApiReply(refusal.status, refusal.body(), refusal.headers)
        if fault.kind == "error":
            return _failure(fault)
        return ApiReply(0, None, fate="reset" if fault.kind == "reset" else "hold")

    def _execute_later(self, fault: Fault, request: ApiRequest, number: int) -> ApiReply:
        """Schedule a request for later: `late` ones arrive then, `late_engine` ones were accepted and only wait for the engine."""
        exchange = self._exchange
        run: Callable[[], Any] = partial(self._execute, request)
        if fault.kind == "late_engine":
            try:
                run = self._admit(request)
            except Refusal as refusal:
                return ApiReply(refusal.status, refusal.body(), refusal.headers)

        def execute() -> None:
            reply = _reply_of(run)
            code = reply.body.get("code", 0) if isinstance(reply.body, dict) else 0
            exchange.note("late", {"id": number, "status": reply.status, "code": code})

        exchange.plan(exchange.now_ms() + int(fault.detail.get("delay_ms", 1_000)), execute)
        return _failure(fault) if {"status", "code"} & set(fault.detail) else ApiReply(0, None, fate="hold")

    # --- the ledger

    def _note_request(self, number: int, request: ApiRequest) -> None:
        name = next((request.params[key] for key in _NAMES if request.params.get(key)), "")
        values = {"id": number, "method": request.method, "path": request.path, "client_id": name}
        shown = {key: value for key, value in request.params.items() if key not in {"signature", "apiKey"}}
        self._exchange.note("request", values | {"via": "ws" if request.operation else "rest", "params": shown})

    def _note_answer(self, number: int, reply: ApiReply) -> None:
        code = reply.body.get("code", 0) if isinstance(reply.body, dict) else 0
        values = {"id": number, "status": reply.status, "code": code, "fate": reply.fate}
        wait = reply.headers.get("Retry-After")
        if code:
            values["msg"] = _words(reply.body)
        self._exchange.note("answer", values | ({"retry_after_s": int(wait)} if wait else {}))


def _words(body: Mapping[str, Any]) -> str:
    """Return a refusal's words, those of both halves for a replacement."""
    halves = body.get("data")
    parts = [body, *(halves.values() if isinstance(halves, Mapping) else ())]
    return "; ".join(str(part["msg"]) for part in parts if isinstance(part, Mapping) and part.get("msg"))


def _reply_of(run: Callable[[], Any]) -> ApiReply:
    """Run an operation, and return its result or its refusal as a reply."""
    try:
        return ApiReply(200, run())
    except Refusal as refusal:
        return ApiReply(refusal.status, refusal.body(), refusal.headers)


def _failure(fault: Fault) -> ApiReply:
    """Return a 5xx reply: with Binance's code if the fault has one, otherwise as from a proxy in between."""
    code = fault.detail.get("code")
    status = int(fault.detail.get("status", 503))
    if code is None:
        return ApiReply(status, "Service Unavailable" if status == 503 else "<html>Bad Gateway</html>")
    return ApiReply(status, {"code": int(code), "msg": _TEXTS.get(int(code), "Unknown error.")})
