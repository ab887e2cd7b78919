"""Arun sells one workflow to many customers: a template, a workflow and a URL for each, and updates that say what
they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
from aicflow_sdk import AICFlow, SavedWorkflow, Workflow, when

CUSTOMERS = json.loads(Path(__file__).with_name("customers.json").read_text("utf-8"))


def template(customer: dict[str, Any]) -> Workflow:
    """What an order costs to send, in the customer's words, as the answer to each call of the URL."""
    wf = Workflow(
        f"shipping for {customer['name']}",
        vars={"greeting": customer["greeting"], "free_from": customer["free_from"], "fee": 4.5},
        input_schema={"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]},
    )
    wf.webhook(
        f"shipping/{customer['id']}", "order", input={"total": wf.trigger.body.total}, respond={"mode": "output"}
    )

    fee = when(wf.input.total >= wf.vars.free_from, 0.0, wf.vars.fee)

    @wf.python(output_schema={"type": "object", "properties": {"text": {"type": "string"}, "fee": {"type": "number"}},
                              "required": ["text", "fee"]})  # fmt: skip
    def offer(greeting=wf.vars.greeting, total=wf.input.total, fee=fee):
        price = "sent for free" if fee == 0 else f"sent for {fee:.2f}"
        return {"text": f"{greeting}, your order of {total:.2f} is {price}.", "fee": fee}

    wf.output = offer.output
    return wf


def deploy(client: AICFlow, customer: dict[str, Any]) -> SavedWorkflow:
    """Save the customer's workflow under an id of our own; say what changed."""
    saved = client.workflows.deploy(template(customer), id=f"shipping-{customer['id']}")
    changes = f"\n{client.workflows.diff(saved.id, saved.version - 1)}" if saved.outcome == "updated" else ""
    print(f"{saved.id}: {saved.outcome}{changes}")
    return saved


def main() -> None:
    with AICFlow() as client:
        deployed = [deploy(client, customer) for customer in CUSTOMERS]
        for customer in CUSTOMERS:
            for total in (10, 60):
                answer = httpx2.post(f"{client.url}/hooks/shipping/{customer['id']}", json={"total": total}, timeout=30)
                answer.raise_for_status()
                print("  ", answer.json()["text"])
        deployed[0] = deploy(client, {**CUSTOMERS[0], "free_from": 5})  # a change for one customer
        for workflow in deployed:
            print(f"{workflow.id} is at version {workflow.version}")
            client.workflows.delete(workflow)


if __name__ == "__main__":
    main()
