#!/bin/sh
# Sarah's story with nothing but curl: save a workflow, start it, follow it, read its output.
set -eu
here=$(dirname "$0")
data=${AICFLOW_DATA_DIR:-$HOME/.aicflow}
url=${AICFLOW_URL:-$(sed 's/.*"url": *"\([^"]*\)".*/\1/' "$data/server.json")}
key=${AICFLOW_API_KEY:-$(cat "$data/admin.key")}
api() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $key" "$@"; }

workflow=$(api -X POST "$url/api/v1/workflows" -H 'Content-Type: application/yaml' --data-binary "@$here/greet.yaml" |
  sed 's/^{"id":"\([^"]*\)".*/\1/')
echo "saved as $workflow"

execution=$(api -X POST "$url/api/v1/executions" -H 'Content-Type: application/json' -H "Idempotency-Key: greet-$$" \
  -d "{\"workflow_id\": \"$workflow\", \"input\": {\"name\": \"Sarah\"}}" | sed 's/^{"id":"\([^"]*\)".*/\1/')
echo "started $execution"

# Server-sent events: the stream ends by itself after the last one.
api -N "$url/api/v1/executions/$execution/stream" | grep '^event:'

api "$url/api/v1/executions/$execution" | sed 's/.*"output":\({[^}]*}\).*/output \1/'
echo

# What goes wrong says where: here the input lacks a name.
curl --silent -X POST "$url/api/v1/executions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
  -d "{\"workflow_id\": \"$workflow\", \"input\": {}}"
echo
api -X DELETE "$url/api/v1/workflows/$workflow"
