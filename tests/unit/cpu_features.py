"""A CPU with other features than the one that runs the tests, as far as the choice of kernels goes."""

import pytest

from triptych.kernels import registry


def pretend_cpu_has(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    """Let the registry support these features and no others, for the duration of a test."""
    monkeypatch.setattr(registry, "_has", lambda feature: feature in features)
    monkeypatch.setattr(
        registry, "_tier", next((t for t in registry.TIERS[::-1] if t in features), "generic")
    )
