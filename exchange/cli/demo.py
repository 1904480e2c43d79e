"""`cpx demo`: a whole market day of our own on this machine, from offers to statements; ends by itself."""

from __future__ import annotations

import typer

from exchange.cli.running import Engine, Via, check_via, choose_engine, interruptible, order_of, run_and_show

command = typer.Typer(add_completion=False)


@command.command()
def demo(
    ctx: typer.Context,
    out: str | None = typer.Option(
        None, metavar="DIR", help="Folder for the results; by default cpx-demo, cpx-demo-2, …"
    ),
    seed: int = typer.Option(1, min=0, help="Another seed, another day; the same seed, the same bytes."),
    tasks: int = typer.Option(2500, min=1, help="How many tasks the day has; supply follows."),
    engine: Engine | None = typer.Option(None, help="Matching engine; by default the compiled one where it is built."),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with a run that was interrupted; by default the last cpx-demo folder."
    ),
    force: bool = typer.Option(False, "--force", help="Replace a former run in the folder; by default cpx-demo."),
    via: Via = typer.Option(Via.files, help="sockets: through a server, every participant with his own key; same results."),
    as_json: bool = typer.Option(False, "--json", "-j", help="The summary as JSON on stdout, nothing else."),
) -> None:
    """Run a whole market day: eight hubs, edge sites, a few hundred participants; prices, ledger and statements to read.

    Exit codes: 0 done, 65 --resume with another seed, 66 nothing to resume, 73 folder in use or not empty, 75 the disk
    failed, 78 journal damaged, 130 interrupted.
    """
    from exchange.cli.folders import chosen_folder, prepare_folder

    check_via(via, resume=resume)
    folder = chosen_folder(out, "cpx-demo", resume=resume, force=force)
    choose_engine(engine)
    prepare_folder(folder, resume=resume, force=force)
    from exchange.replay.run import RunOptions
    from exchange.replay.scenario import market_day

    options = RunOptions(folder, seed, name="demo", order=order_of(ctx, folder, ()))
    with interruptible("nothing has begun yet; start again"):
        day = market_day(seed, tasks)
    run_and_show(day, options, as_json=as_json, via=via)
