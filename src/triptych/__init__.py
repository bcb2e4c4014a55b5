"""triptych: self-supervision, architecture x augmentation, and reconstruction in one DAG."""
