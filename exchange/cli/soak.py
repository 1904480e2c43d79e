"""`cpx soak`: the long fault and load tests, with the seed and the commit that reproduce them."""

from __future__ import annotations

import secrets
import subprocess

import typer

from exchange.cli.test import ROOT, pytest_environment, run_pytest, sum_up


def commit() -> str:
    """The short id of the present commit, "+changes" if files differ from it, "unknown" without git."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return "unknown"
    return asked.stdout.strip() or "unknown"


command = typer.Typer(add_completion=False)


@command.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def soak(
    ctx: typer.Context,
    seed: int | None = typer.Option(None, "--seed", min=0, help="Repeat a run by its printed seed."),
    load: bool = typer.Option(False, "--load", help="Only the load: a server at 70 % of what it can take, with churn."),
    minutes: float = typer.Option(30.0, min=0.2, help="How long the load lasts."),
) -> None:
    """Run the tests marked `soak`; minutes to hours. Tests find the seed in CPX_SEED.

    Example: cpx soak --load --minutes 30

    Exit codes: 0 all is well, 1 it is not: a test failed; of the load: an error, memory that is
    not flat, another hash, or less than 65 % of the capacity reached.
    """
    chosen = secrets.randbelow(2**32) if seed is None else seed
    if load:
        _load(minutes, chosen)
        return
    headline = f"soak: seed {chosen}, commit {commit()}; again: ./cpx soak --seed {chosen}"
    typer.echo(headline)
    environment = pytest_environment(CPX_SOAK="1", CPX_SEED=str(chosen))
    outcome = run_pytest("soak", ["-m", "soak", f"--hypothesis-seed={chosen}", *ctx.args], environment)
    code = sum_up([outcome])
    typer.echo(headline)
    raise typer.Exit(code)


def _load(minutes: float, seed: int) -> None:
    from exchange.cli.soak_load import run, show_figures

    headline = f"soak: load, seed {seed}, commit {commit()}; again: ./cpx soak --load --minutes {minutes:g} --seed {seed}"
    typer.echo(headline)
    found = run(minutes, seed, show=lambda line: typer.echo(line, err=True))
    show_figures(found)
    typer.echo(headline)
    raise typer.Exit(0 if found["is_fine"] else 1)
