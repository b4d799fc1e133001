"""A portfolio: promoted strategies side by side on one account, each a slot of the kernel."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atb.domain import BarsInput, Symbol, Timeframe
from atb.engine import records
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState
from atb.errors import InputError
from atb.live.plan import Plan

_CLUSTER_LEAD_DAYS = 2  # beyond the days of returns: a return needs two midnights, and the first day is not whole
_DAY_S = 86_400


@dataclass(frozen=True)
class Portfolio:
    """Plans in the order of their slots; they share one account, whose limits hold across all of them.

    Raises
    ------
    InputError
        If there is no plan, one comes twice, or they differ in account policy or quote currency.
    """

    plans: tuple[Plan, ...]

    def __post_init__(self) -> None:
        """Refuse plans that cannot share an account."""
        if not self.plans:
            raise InputError("A runner needs a manifest", todo="Name one of runners/promoted")
        first = self.plans[0]
        for plan in self.plans[1:]:
            if plan.account != first.account:
                raise InputError(
                    f"{plan.manifest.name} was promoted for another account than {first.manifest.name}",
                    found=f"{plan.account.to_json()} and {first.account.to_json()}",
                    todo="Promote them with the same cash and limits, or give each an account of its own: --account",
                )
        assets = sorted({plan.symbol.settle or plan.symbol.quote for plan in self.plans})
        if len(assets) > 1:
            raise InputError(
                "One account holds one quote currency",
                found=" and ".join(assets),
                todo="Give each an account of its own: --account",
            )
        keys = [plan.manifest.content_sha256 for plan in self.plans]
        if len(set(keys)) != len(keys):
            raise InputError("A manifest is named twice", found=", ".join(plan.manifest.name for plan in self.plans))

    @property
    def account(self) -> AccountPolicy:
        """Cash and limits of the account."""
        return self.plans[0].account

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols traded, each once."""
        return tuple(dict.fromkeys(plan.symbol for plan in self.plans))

    @cached_property
    def read_symbols(self) -> tuple[Symbol, ...]:
        """The symbols whose bars are read: those traded, and those of inputs, each once."""
        others = [
            Symbol.parse(str(one.symbol))
            for plan in self.plans
            for one in plan.inputs.values()
            if isinstance(one, BarsInput)
        ]
        return tuple(dict.fromkeys([*self.symbols, *others]))

    @cached_property
    def finest(self) -> Timeframe:
        """The shortest timeframe: the step of the account's equity."""
        return min((plan.timeframe for plan in self.plans), key=lambda timeframe: timeframe.seconds)

    @property
    def key(self) -> str:
        """The hash that identifies this set of manifests; the content hash of a single one."""
        hashes = [plan.manifest.content_sha256 for plan in self.plans]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    @property
    def mode(self) -> str:
        """`paper`, unless every manifest may trade real money."""
        modes = {plan.manifest.mode for plan in self.plans}
        return modes.pop() if len(modes) == 1 else "paper"

    def identity(self) -> dict[str, str]:
        """Return `mode` and `key`, as the session's row stores them."""
        return {"mode": self.mode, "key": self.key}

    @property
    def lead_days(self) -> int:
        """Days of bars that the clusters need before the first traded one."""
        return 0 if self.account.max_cluster is None else self.account.cluster_days + _CLUSTER_LEAD_DAYS

    def lead_bars(self, plan: Plan) -> int:
        """Return how many bars a slot needs before the first traded one: its warm-up, and the days that clusters look back."""
        return max(plan.warmup, self.lead_days * _DAY_S // plan.timeframe.seconds)

    def fresh_state(self) -> KernelState:
        """Return the kernel's state of an account that has never traded."""
        rows = [slot_parameters(plan.policy, plan.execution, plan.instrument) for plan in self.plans]
        return KernelState.fresh(
            self.account.cash,
            limits=account_parameters(self.account),
            parameters=np.array(rows, records.SLOT_PARAMETERS),
        )
