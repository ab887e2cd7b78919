"""What an agent has used and whether its caps allow the next call. Pure arithmetic."""

from __future__ import annotations

from typing import Any

from aicflow import PermanentError

from aicflow_agent.params import AgentParams, AgentUsage


def estimate_tokens(characters: int) -> int:
    """Tokens in a text, roughly; used where the provider reports none and before the first call."""
    return (characters + 3) // 4


class Budget:
    """The counters of one attempt. The `before_…` methods raise PermanentError (code `agent-cap`) naming the cap."""

    def __init__(self, params: AgentParams) -> None:
        self._params = params
        self.input_tokens = 0
        self.output_tokens = 0
        self.model_calls = 0
        self.tool_calls = 0
        self.tool_errors = 0
        self.estimated = False
        self._context_tokens = 0

    @property
    def total_tokens(self) -> int:
        """Input and output of all model calls so far."""
        return self.input_tokens + self.output_tokens

    def before_model(self, characters: int) -> None:
        """Call before each model call with the size of what will be sent."""
        params = self._params
        if self.model_calls >= params.max_model_calls:
            raise _capped("max_model_calls", params.max_model_calls, self.model_calls)
        # A conversation only grows: the next input holds the last input and its answer.
        upcoming = max(estimate_tokens(characters), self._context_tokens)
        if params.max_total_tokens is not None and self.total_tokens + upcoming > params.max_total_tokens:
            raise _capped("max_total_tokens", params.max_total_tokens, self.total_tokens, next_call=upcoming)
        if params.max_cost is not None and params.price is not None:
            cost = self.cost or 0.0
            upcoming_cost = upcoming * params.price.input / 1_000_000
            if cost + upcoming_cost > params.max_cost:
                raise _capped("max_cost", params.max_cost, round(cost, 6), next_call=round(upcoming_cost, 6))
        self.model_calls += 1

    def after_model(self, input_tokens: int, output_tokens: int, *, estimated: bool) -> None:
        """Count what a model call used."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.estimated = self.estimated or estimated
        self._context_tokens = input_tokens + output_tokens

    def before_tools(self, count: int) -> None:
        """Call before the tools of one answer run; either all of them are allowed or none."""
        if self.tool_calls + count > self._params.max_tool_calls:
            raise _capped("max_tool_calls", self._params.max_tool_calls, self.tool_calls, next_call=count)
        self.tool_calls += count

    def after_tool_error(self) -> bool:
        """Count a failed tool call; whether the model may still learn from it."""
        self.tool_errors += 1
        return self.tool_errors <= self._params.max_tool_errors

    @property
    def cost(self) -> float | None:
        """In the currency of `price`; None without one."""
        price = self._params.price
        if price is None:
            return None
        return (self.input_tokens * price.input + self.output_tokens * price.output) / 1_000_000

    def usage(self) -> AgentUsage:
        """The counters as output."""
        return AgentUsage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            total_tokens=self.total_tokens,
            model_calls=self.model_calls,
            tool_calls=self.tool_calls,
            cost=self.cost,
            estimated=self.estimated,
        )


def _capped(cap: str, limit: float, used: float, **more: Any) -> PermanentError:
    ahead = f", and the next call takes {more['next_call']}" if more else ""
    return PermanentError(
        f"The agent stopped at its cap {cap} = {limit}: {used} used{ahead}.",
        code="agent-cap",
        pointer=f"/{cap}",
        hint=f"Raise {cap}, or give the agent a smaller task.",
        details={"cap": cap, "limit": limit, "used": used, **more},
    )
