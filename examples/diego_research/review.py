"""Diego reviews a folder of abstracts: choose those on his topic, let an agent sum them up and another one judge."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aicflow_sdk import AICFlow, Workflow, fn

ABSTRACTS = Path(__file__).with_name("abstracts.json")


def review() -> Workflow:
    """Choose, summarise, judge, write down."""
    wf = Workflow(
        "literature-review",
        description="Summarise what the literature says about a topic and judge how strong the evidence is.",
        input_schema={
            "type": "object",
            "properties": {"topic": {"type": "string"}, "papers": {"type": "array", "items": {"type": "object"}}},
            "required": ["topic", "papers"],
        },
    )

    @wf.python(output_schema={"type": "array", "items": {"type": "object", "properties": {
        "id": {"type": "string"}, "text": {"type": "string"}}, "required": ["id", "text"]}})  # fmt: skip
    def choose(papers=wf.input.papers, topic=wf.input.topic):
        """The papers that speak of the topic, newest first."""
        words = topic.lower().split()
        found = [p for p in papers if any(word in (p["title"] + p["abstract"]).lower() for word in words)]
        found.sort(key=lambda p: -p["year"])
        return [{"id": p["id"], "text": f"{p['title']} ({p['year']}). {p['abstract']}"} for p in found]

    some = wf.if_else(fn.len(choose.output) > 0, "some")
    texts = fn.join(fn.each(choose.output, lambda paper: paper.text), "\n\n")
    summarise = wf.agent(
        f"Summarise in three sentences what these abstracts say about {wf.input.topic}:\n\n{texts}",
        "summarise",
        system_prompt="You are a careful research assistant. Use only what the abstracts say.",
        max_model_calls=2,
    )
    judge = wf.agent(
        f"How strong is the evidence in this summary? {summarise.output.text}",
        "judge",
        output_schema={
            "type": "object",
            "properties": {"strength": {"enum": ["weak", "mixed", "strong"]}, "reason": {"type": "string"}},
            "required": ["strength", "reason"],
            "additionalProperties": False,
        },
        max_model_calls=3,
    )
    choose >> some
    some.true >> summarise >> judge
    wf.output = {
        "papers": fn.each(choose.output, lambda paper: paper.id),
        "summary": summarise.maybe.output.text.coalesce("Nothing on this topic."),
        "evidence": judge.maybe.output.structured.coalesce({"strength": "weak", "reason": "no papers"}),
    }
    return wf


def main(topic: str = "soil carbon") -> None:
    papers = json.loads(ABSTRACTS.read_text(encoding="utf-8"))
    with AICFlow() as client:
        saved = client.workflows.deploy(review())
        execution = client.executions.start(saved, {"topic": topic, "papers": papers})
        for event in client.executions.stream(execution.id):
            if event.type == "step.delta" and isinstance(event.data, dict) and isinstance(event.data.get("text"), str):
                print(event.data["text"], end="", flush=True)  # the model's words as they come
            elif event.type == "step.succeeded":
                print(f"\n[{event.node_id} is done]")
        result = client.executions.get(execution.id).result()
        print(json.dumps(result, indent=2))
        client.workflows.delete(saved)


if __name__ == "__main__":
    main(*sys.argv[1:])
