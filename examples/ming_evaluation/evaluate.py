"""Ming compares two ways to label reviews: a list of words and an agent. Each review is an execution of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aicflow_sdk import AsyncAICFlow, SavedWorkflow, Workflow, fn

REVIEWS = [json.loads(line) for line in Path(__file__).with_name("reviews.jsonl").read_text("utf-8").splitlines()]
INPUT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
AT_ONCE = 4


def by_words() -> Workflow:
    """The baseline: count good and bad words."""
    wf = Workflow("label-by-words", input_schema=INPUT)

    @wf.python(output_schema={"enum": ["positive", "negative"]})
    def label(text=wf.input.text):
        good, bad = {"great", "love", "perfect", "happy", "excellent"}, {"bad", "terrible", "awful", "broke", "refund"}
        words = {word.strip(".,!").lower() for word in text.split()}
        return "positive" if len(words & good) >= len(words & bad) else "negative"

    wf.output = label.output
    return wf


def by_agent() -> Workflow:
    """The candidate: ask a model for one of the two labels."""
    wf = Workflow("label-by-agent", input_schema=INPUT)
    ask = wf.agent(
        f"Classify this review as positive or negative. Review: {wf.input.text}",
        "ask",
        output_schema={
            "type": "object",
            "properties": {"label": {"enum": ["positive", "negative"]}},
            "required": ["label"],
            "additionalProperties": False,
        },
        max_model_calls=3,
    )
    wf.output = fn.get(ask.output.structured, "label")
    return wf


async def score(client: AsyncAICFlow, saved: SavedWorkflow) -> dict[str, Any]:
    """Run every review through a workflow, a few at a time; failures count as wrong and are kept."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(review: dict[str, str]) -> dict[str, Any]:
        async with gate:
            execution = await client.executions.run(saved, {"text": review["text"]}, timeout=120)
        return {"right": execution.output == review["label"], "failed": execution.error, "text": review["text"]}

    results = await asyncio.gather(*map(one, REVIEWS))
    wrong = [result["text"] for result in results if not result["right"]]
    return {"accuracy": 1 - len(wrong) / len(results), "wrong": wrong, "failed": [r for r in results if r["failed"]]}


async def main() -> None:
    async with AsyncAICFlow() as client:
        saved = [await client.workflows.deploy(workflow) for workflow in (by_words(), by_agent())]
        print(f"{'workflow':16} {'accuracy':>8} {'failed':>7}")
        for workflow in saved:
            result = await score(client, workflow)
            print(f"{workflow.name:16} {result['accuracy']:8.0%} {len(result['failed']):7}")
            for text in result["wrong"]:
                print(f"    wrong: {text}")
        for workflow in saved:
            await client.workflows.delete(workflow)


if __name__ == "__main__":
    asyncio.run(main())
