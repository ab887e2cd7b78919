"""Looking at a plugin's wheel before it is trusted. Nothing of the wheel is imported in this process."""
