"""AIC Flow trigger types trigger.webhook and trigger.cron."""
