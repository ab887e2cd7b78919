"""Report folders that are larger than they should be, every Sunday night."""

from aicflow_sdk import Workflow, fn

wf = Workflow("cleanup-report", vars={"limit_gb": 100})
wf.cron("30 2 * * SUN", "weekly", timezone="Europe/Berlin", input={"folders": []})


@wf.python(output_schema={"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}})
def too_large(folders=wf.input.folders, limit=wf.vars.limit_gb):
    """The folders above the limit, the largest first."""
    return sorted((f for f in folders if f["gb"] > limit), key=lambda f: -f["gb"])


wf.output = {"count": fn.len(too_large.output), "folders": too_large.output}
