"""Olivia loads orders into the warehouse every morning. Rows that cannot be used go to a list of rejects."""

from __future__ import annotations

from aicflow_sdk import AICFlow, Workflow
from systems import Systems


def orders_etl(shop: str, warehouse: str) -> Workflow:
    """The job: fetch the export, clean it, load what is good, keep what is not."""
    wf = Workflow(
        "orders-etl",
        description="Load the shop's orders into the warehouse.",
        vars={"shop": shop, "warehouse": warehouse, "rates": {"EUR": 1.0, "GBP": 1.15, "USD": 0.9}},
        settings={"timeout": 600, "concurrency": {"key": "orders-etl", "limit": 1}},
    )
    wf.cron("0 6 * * *", "every_morning", timezone="Europe/Amsterdam", input={"day": wf.trigger.local})

    again = {"max_attempts": 5, "initial_delay": 1, "max_delay": 30}
    extract = wf.http(f"{wf.vars.shop}/export.csv", "extract", response={"as": "text"}, retry=again)

    @wf.python(output_schema={"type": "object", "properties": {"rows": {"type": "array"}, "rejects": {"type": "array"}},
                              "required": ["rows", "rejects"]})  # fmt: skip
    def clean(text=extract.output.body, rates=wf.vars.rates):
        """Keep rows with a customer and an amount; amounts become euros."""
        import csv
        import io

        rows, rejects = [], []
        for row in csv.DictReader(io.StringIO(text)):
            try:
                if not row["customer"]:
                    raise ValueError("no customer")
                euros = round(float(row["amount"]) * rates[row["currency"]], 2)
                rows.append({"order_id": int(row["order_id"]), "customer": row["customer"], "euros": euros})
            except (ValueError, KeyError) as error:
                rejects.append({"row": row, "reason": str(error)})
        print(f"{len(rows)} rows, {len(rejects)} rejects")
        return {"rows": rows, "rejects": rejects}

    load = wf.http(
        f"{wf.vars.warehouse}/rows", "load", method="POST", body={"type": "json", "value": clean.output.rows},
        retry=again, idempotency_header="Idempotency-Key",
    )  # fmt: skip
    any_rejects = wf.if_else(clean.output.rejects != [], "any_rejects")
    keep = wf.http(
        f"{wf.vars.warehouse}/rejects", "keep", method="POST", body={"type": "json", "value": clean.output.rejects},
        retry=again, idempotency_header="Idempotency-Key",
    )  # fmt: skip

    extract >> clean >> [load, any_rejects]
    any_rejects.true >> keep
    wf.output = {"loaded": load.output.body.stored, "rejected": keep.maybe.output.body.stored.coalesce(0)}
    return wf


def main() -> None:
    with Systems() as systems, AICFlow() as client:
        saved = client.workflows.deploy(orders_etl(systems.url, systems.url))
        print(f"saved {saved.name} as {saved.id}")
        for fire in client.triggers.next_fires(f"{saved.id}:every_morning", count=2):
            print("will run at", fire.get("local") or fire)
        execution = client.executions.start(saved, {"day": "today"})
        for event in client.executions.stream(execution.id):
            print(f"  {event.type:20} {event.node_id or ''}")
        result = client.executions.get(execution.id).result()
        print("result:", result)
        assert len(systems.loaded["/rows"]) == result["loaded"]
        for reject in systems.loaded["/rejects"]:
            print("  rejected:", reject["row"]["order_id"], "-", reject["reason"])
        client.workflows.delete(saved)  # an example leaves nothing behind


if __name__ == "__main__":
    main()
