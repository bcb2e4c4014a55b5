"""Snakemake finds logger plugins by this package's name; the plugin is `triptych.workflow.terminal`."""

from triptych.workflow.terminal import LogHandler

__all__ = ["LogHandler"]
