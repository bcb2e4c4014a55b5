"""Figures of a reconstructed scene."""

import pandas as pd
from matplotlib.figure import Figure

from triptych.report.style import COLOURS, label_axes, new_figure

SIZE = (4.6, 3.1)


def kept_frames(frames: pd.DataFrame) -> pd.Series:
    """The manifest's `kept` column as booleans, however it was spelt."""
    return frames["kept"].astype(str).str.lower().isin({"true", "1", "yes"})


def sharpness_figure(frames: pd.DataFrame) -> Figure:
    """Sharpness over time (seconds; the frame's number where there is no time), kept frames filled."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    timed = frames["time"].notna().all()
    x, kept = frames["time" if timed else "frame"], kept_frames(frames)
    axes.plot(x, frames["sharpness"], color=COLOURS[0], linewidth=0.8, alpha=0.4)
    axes.scatter(x[kept], frames["sharpness"][kept], s=16, color=COLOURS[0], label=f"kept ({kept.sum()})")
    axes.scatter(
        x[~kept], frames["sharpness"][~kept], s=18, facecolors="none", edgecolors=COLOURS[1],
        linewidths=1.1, label=f"left out ({(~kept).sum()})",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    label_axes(axes, title="Sharpness of the frames", x="seconds" if timed else "frame", y="sharpness")
    figure.legend(loc="outside lower left", ncols=2, fontsize=8)
    return figure


def training_figure(history: pd.DataFrame) -> Figure:
    """PSNR (dB) of the radiance field over training time."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    # Without held-out views there is no such column.
    history = history.reindex(columns=["seconds", "train_psnr", "heldout_psnr"])
    longest = history["seconds"].max()
    unit, divisor = ("minutes", 60.0) if longest > 180 else ("seconds", 1.0)
    train = history[["seconds", "train_psnr"]].dropna()
    held_out = history[["seconds", "heldout_psnr"]].dropna()
    axes.plot(train["seconds"] / divisor, train["train_psnr"], color=COLOURS[0], linewidth=1.2, alpha=0.7,
              label="training rays")  # fmt: skip
    axes.plot(held_out["seconds"] / divisor, held_out["heldout_psnr"], color=COLOURS[1], linewidth=1.6,
              marker="o", markersize=3.5, label="held-out views")  # fmt: skip
    label_axes(axes, title="Radiance field: PSNR while training", x=unit, y="dB")
    figure.legend(loc="outside lower left", ncols=2, fontsize=8)
    return figure
