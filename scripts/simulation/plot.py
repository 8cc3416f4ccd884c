"""How soon scores tell peers apart, and what a step costs, as a picture."""

from __future__ import annotations

from pathlib import Path

from .findings import Finding

__all__ = ["draw"]

# Okabe and Ito's colours, which all kinds of colour vision tell apart.
_COLOURS = {256: "#0072B2", 4096: "#E69F00", 65536: "#009E73"}
_DASHES = ("-", "--", ":", "-.")


def draw(findings: list[Finding], path: Path) -> None:
    """Draw two panels to a .svg or .png file.

    Args:
        findings: Any number of sizes and samples.
        path: The file.
    """
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    with plt.rc_context({"svg.hashsalt": "ganglion", "font.size": 10}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
        samples = sorted({finding.sample_size for finding in findings})
        for finding in findings:
            dash = _DASHES[samples.index(finding.sample_size) % len(_DASHES)]
            left.plot(
                [point.hours for point in finding.checkpoints],
                [100 * point.misordered for point in finding.checkpoints],
                dash,
                color=_COLOURS.get(finding.peers, "#555555"),
                label=f"{finding.peers:,} peers, {finding.sample_size:,} a step",
            )
        left.set(xscale="log", xlabel="virtual hours", ylabel="pairs in the wrong order, %")
        left.set_title("How soon honest peers rank above the rest", loc="left", fontsize=11)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2}
        left.legend(frameon=False, fontsize=8, **below)
        for sample in samples:
            rows = sorted((f for f in findings if f.sample_size == sample), key=lambda f: f.peers)
            right.plot(
                [row.peers for row in rows],
                [sum(row.step_cpu_ms.values()) + row.save_ms for row in rows],
                f"o{_DASHES[samples.index(sample) % len(_DASHES)]}",
                color="#333333",
                label=f"{sample:,} a step",
            )
        right.set(xscale="log", yscale="log", xlabel="peers", ylabel="processor ms a step")
        right.set_title("What sampling, scoring and saving cost", loc="left", fontsize=11)
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        right.legend(frameon=False, fontsize=8)
        for panel in (left, right):
            panel.grid(alpha=0.25)
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
            panel.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)
