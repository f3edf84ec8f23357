"""A plan as tables for the eye: prints what `command` found."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

TERA, GB = 1e12, 1e9
PARTS = ("parameters", "gradients", "optimiser", "ema", "gathered", "activations", "total")


def print_all(found: dict[str, Any], console: Console | None = None) -> None:
    console = console or Console(width=max(140, Console().width))
    parts = {"plan": print_plan, "published": print_published, "failures": print_failures}
    for name, value in found.items():
        parts[name](value, console)


def print_plan(plan: dict[str, Any], console: Console) -> None:
    step, memory = plan["step"], plan["memory"]
    console.print(
        f"[bold]{plan['recipe']}[/], {plan['stage']}: {plan['parameters'] / GB:.2f} B parameters, {plan['tokens']:,} "
        f"tokens a sample, {plan['batch']:,} samples a step, {plan['gpus']:,} x {plan['gpu']}"
    )
    console.print(_flops(plan["flops"], plan["batch"]))
    console.print(_memory(memory))
    console.print(_times(step))
    console.print(
        f"Mesh: [bold]{plan['mesh']['told']}[/], {memory['micro']} sample(s) at a time, which is loop.microbatches="
        f"{memory['microbatches']}"
    )
    for reason in plan["reasons"]:
        console.print(f"  {reason}", highlight=False)
    console.print(
        f"Predicted: {step['seconds']:.2f} s a step, [bold]MFU {100 * step['mfu']:.1f} %[/] (HFU "
        f"{100 * step['hfu']:.1f} %); {plan['budget_tokens']:.3g} tokens are {plan['steps']:,.0f} steps, "
        f"[bold]{plan['days']:.1f} days[/]"
    )
    saved = plan["checkpoint"]
    console.print(
        f"With failures: a checkpoint every {saved['interval'] / 60:.1f} min (stands still {saved['blocking']:.1f} s, "
        f"safe after {saved['writing']:.0f} s) leaves {100 * plan['effective']:.1f} % of the time, "
        f"[bold]{plan['days_with_failures']:.1f} days[/]\n"
    )


def _flops(flops: dict[str, Any], batch: int) -> Table:
    table = Table("PFLOP a step", "attention", "projections", "modulation", "all")
    for kind, parts in flops.items():
        numbers = [parts[name] * batch / 1e15 for name in ("attention", "linear", "modulation")]
        table.add_row(kind, *(f"{number:,.2f}" for number in (*numbers, sum(numbers))))
    return table


def _memory(memory: dict[str, Any]) -> Table:
    table = Table("GB a device, checkpointing", *PARTS, f"fits in {memory['gpu_gb']:g}")
    for policy, room in memory["policies"].items():
        fits = "yes" if room["total"] <= memory["gpu_gb"] else "no"
        table.add_row(
            f"[bold]{policy}[/]" if policy == memory["policy"] else policy,
            *(f"{room[part]:.1f}" for part in PARTS),
            fits,
        )
    return table


def _times(step: dict[str, Any]) -> Table:
    table = Table("a step", "seconds", "GB a device sends")
    table.add_row("compute", f"{step['compute']:.3f}", "")
    sent = {**step["sent"], "weights": step["sent"]["shard"] + step["sent"]["replicate"]}
    for axis, seconds in step["waiting"].items():
        if sent.get(axis) or seconds:
            told = {"gather": "the whole video behind the blocks", "weights": "weights and gradients"}.get(axis, axis)
            table.add_row(f"waits for {told}", f"{seconds:.3f}", f"{sent.get(axis, 0) / GB:,.2f}")
    table.add_row("bubble of the pipe", f"{step['bubble']:.3f}", "")
    return table


def print_published(found: dict[str, Any], console: Console) -> None:
    table = Table("published run", "devices", "mesh", "MFU", "predicted", "error", "")
    for run in found["runs"]:
        table.add_row(
            run["name"],
            f"{run['devices']} {run['gpu']}",
            run["mesh"],
            f"{100 * run['published']:.1f} %",
            f"{100 * run['predicted']:.1f} %",
            f"{100 * run['error']:+.1f} %",
            "fitted" if run["fitted"] else "",
        )
    console.print(table)
    console.print(f"Of its peak a device reaches {100 * found['share']:.1f} % in products: all that is fitted.")
    table = Table("not comparable", "published", "what is not told")
    for run in found["not_comparable"]:
        table.add_row(run["name"], run["figure"], run["missing"])
    console.print(table)
    for run in found["runs"] + found["not_comparable"]:
        told = f" ({run['note']})" if run.get("note") else ""
        console.print(f"  {run['name']}: {run['source']}{told}", highlight=False)
    console.print()


def print_failures(found: dict[str, Any], console: Console) -> None:
    faults = found["faults"]
    console.print(
        f"Failures: {1000 * faults['rate']:.2f} in 1,000 node days ({faults['node']} devices a node), back at work "
        f"after {faults['restart']:.0f} s, Weibull shape {faults['shape']:g}; a checkpoint stands still "
        f"{found['blocking']:.1f} s and is safe after {found['writing']:.0f} s"
    )
    columns = ("Young min", "Daly min", "best min", "effective at best", "by formula", "with one an hour")
    table = Table("devices", "a failure every, h", *columns)
    for row in found["rows"]:
        minutes = (f"{row[name] / 60:.1f}" for name in ("young", "daly", "best"))
        shares = (f"{100 * row[name]:.2f} %" for name in ("simulated", "formula", "hourly"))
        table.add_row(f"{row['devices']:,}", f"{row['between'] / 3600:.1f}", *minutes, *shares)
    console.print(table)
