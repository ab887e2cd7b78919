"""Webhooks and schedules as users meet them."""
