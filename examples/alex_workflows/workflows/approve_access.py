"""Ask a person before access is granted; without an answer in a day it is refused."""

from aicflow_sdk import Workflow

wf = Workflow(
    "approve-access",
    input_schema={"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]},
)
ask = wf.wait("ask", seconds=86_400, answer_schema={"type": "boolean"}, message=f"May {wf.input.who} have access?")
decide = wf.if_else(ask.output.answer == True, "decide")  # noqa: E712 - the answer may be null: no answer came
ask >> decide
ask.timeout >> decide
wf.output = {"granted": decide.output.result}
