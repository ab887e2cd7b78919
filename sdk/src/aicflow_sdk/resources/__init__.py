"""The resources of the API, written once as coroutines; `aicflow_sdk.blocking` makes the blocking ones of them."""
