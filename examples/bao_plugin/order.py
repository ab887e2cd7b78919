"""A workflow that uses Bao's node: take an order when there is enough, else say what is missing."""

from __future__ import annotations

from aicflow_sdk import AICFlow, Workflow


def order() -> Workflow:
    """Look into the stock, then decide."""
    wf = Workflow(
        "take-order",
        input_schema={
            "type": "object",
            "properties": {"sku": {"type": "string"}, "wanted": {"type": "integer", "minimum": 1}},
            "required": ["sku", "wanted"],
        },
    )
    stock = wf.node("acme.stock", "stock", sku=wf.input.sku, wanted=wf.input.wanted, retry={"max_attempts": 4})
    enough = wf.if_else(stock.output.enough, "enough")
    stock >> enough
    wf.output = enough.output.result.if_else("taken", f"only {stock.output.left} of {wf.input.sku} left")
    return wf


def main() -> None:
    with AICFlow() as client:
        node_type = client.node_types.get("acme.stock")
        print(f"{node_type.type_id} comes from {node_type.provider.distribution} {node_type.provider.version}")
        saved = client.workflows.deploy(order())
        for sku, wanted in [("BOLT-8", 20), ("NUT-8", 20), ("GEAR-1", 1)]:
            execution = client.executions.run(saved, {"sku": sku, "wanted": wanted})
            error = execution.error
            print(f"{wanted} x {sku}:", execution.output if error is None else f"{error.message} [{error.code}]")
        client.workflows.delete(saved)


if __name__ == "__main__":
    main()
