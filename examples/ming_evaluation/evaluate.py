"""Ming compares two ways to label reviews: a list of words and an agent. All reviews are the items of one map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aicflow_sdk import AICFlow, SavedWorkflow, Workflow, fn

REVIEWS = [json.loads(line) for line in Path(__file__).with_name("reviews.jsonl").read_text("utf-8").splitlines()]
LABEL = {"enum": ["positive", "negative"]}
REVIEW = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "label": LABEL},
    "required": ["text", "label"],
}
AT_ONCE = 4


def evaluation(name: str, add_labeller: Callable[[Workflow, Any], Any]) -> Workflow:
    """Labels every review, a few at a time; one that fails is kept and holds up no other."""
    wf = Workflow(name, input_schema={"type": "array", "items": REVIEW})
    each = wf.map("each", over=wf.input, as_="review", concurrency=AT_ONCE, on_item_error="continue")
    with each as review:
        label = add_labeller(wf, review.text)
        each.returns({"text": review.text, "right": label == review.label})
    wf.output = {"results": each.output.items, "failed": fn.len(each.output.failed)}
    return wf


def by_words(wf: Workflow, text: Any) -> Any:
    """The baseline: count good and bad words."""

    @wf.python(inputs={"text": text}, output_schema=LABEL)
    def label(text):
        good, bad = {"great", "love", "perfect", "happy", "excellent"}, {"bad", "terrible", "awful", "broke", "refund"}
        words = {word.strip(".,!").lower() for word in text.split()}
        return "positive" if len(words & good) >= len(words & bad) else "negative"

    return label.output


def by_agent(wf: Workflow, text: Any) -> Any:
    """The candidate: ask a model for one of the two labels."""
    ask = wf.agent(
        f"Classify this review as positive or negative. Review: {text}",
        "ask",
        output_schema={
            "type": "object",
            "properties": {"label": LABEL},
            "required": ["label"],
            "additionalProperties": False,
        },
        max_model_calls=3,
    )
    return fn.get(ask.output.structured, "label")


def score(client: AICFlow, saved: SavedWorkflow) -> None:
    """Run all reviews through a workflow, and print how well it did; failures count as wrong."""
    execution = client.executions.run(saved, REVIEWS, timeout=120)
    output = execution.result()
    right = sum(result["right"] for result in output["results"] if result is not None)
    print(f"{saved.name:16} {right / len(REVIEWS):8.0%} {output['failed']:7}")
    for result in output["results"]:
        if result is not None and not result["right"]:
            print(f"    wrong: {result['text']}")
    for item in client.executions.items(execution.id, "each", status="failed"):
        print(f"    {item.id} failed: {item.error.message if item.error else ''}")


def main() -> None:
    with AICFlow() as client:
        workflows = evaluation("label-by-words", by_words), evaluation("label-by-agent", by_agent)
        saved = [client.workflows.deploy(workflow) for workflow in workflows]
        print(f"{'workflow':16} {'accuracy':>8} {'failed':>7}")
        for workflow in saved:
            score(client, workflow)
        for workflow in saved:
            client.workflows.delete(workflow)  # an example leaves nothing behind


if __name__ == "__main__":
    main()
