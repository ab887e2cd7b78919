"""What a document means: JSON Schema, types, validation, plans, differences."""
