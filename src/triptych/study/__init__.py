"""The project's own study: results collected under `study/`, and what the documents say about them."""
