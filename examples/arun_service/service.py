"""Arun sells one workflow to many customers: a template, a workflow and a URL for each, and updates that tell what
they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
from aicflow_sdk import AICFlow, NotFound, SavedWorkflow, Workflow, diff, when

CUSTOMERS = json.loads(Path(__file__).with_name("customers.json").read_text("utf-8"))


def template(customer: dict[str, Any]) -> Workflow:
    """What an order costs to send, in the customer's words, answered to whoever calls the URL."""
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
        told = "sent for free" if fee == 0 else f"sent for {fee:.2f}"
        return {"text": f"{greeting}, your order of {total:.2f} is {told}.", "fee": fee}

    wf.output = offer.output
    return wf


def deploy(client: AICFlow, customer: dict[str, Any]) -> SavedWorkflow:
    """Save the customer's workflow under an id of our own; say what changes."""
    workflow_id = f"shipping-{customer['id']}"
    wanted = template(customer)
    try:
        current = client.workflows.get(workflow_id)
    except NotFound:
        print(f"{workflow_id}: new")
        return client.workflows.create(wanted, id=workflow_id)
    changes = diff(current.document or {}, wanted)
    print(f"{workflow_id}: {changes}")
    return client.workflows.update(current, wanted) if changes else current


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
