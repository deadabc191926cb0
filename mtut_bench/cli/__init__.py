"""The command line: the one place that imports the core, the adapters and the methods.

Commands parse, call one library function and print what it wrote. Nothing heavy is imported before
a command needs it: ``mtut-bench --help`` loads no torch.
"""

import signal
import sys
from typing import Annotated

import typer

from mtut_bench import __version__
from mtut_bench.cli import (
    bench,
    derive,
    export,
    import_,
    inspect,
    list_,
    predict,
    prepare,
    report,
    run,
    score,
    synth,
    verify,
    weights,
)
from mtut_bench.cli.printing import console, examples, show_error
from mtut_bench.errors import InterruptedRunError, MtutBenchError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train with several modalities, test with one: a paired, repeated, reproducible benchmark"
    " of dynamic hand-gesture recognition.",
    epilog="Try it without recordings:\n\n"
    + examples(
        "prepare viva-synthetic --size tiny",
        "run --dataset viva-synthetic --size tiny --protocol demo",
        "report",
    ),
)


app.command(
    epilog=examples(
        "prepare nvgesture --raw /disk/nvGesture_v1",
        "prepare manifest --table clips.csv --store mine",
        "prepare viva-synthetic --size tiny",
    )
)(prepare.prepare)
app.command(epilog=examples("synth nvgesture-synthetic --size tiny --whole"))(synth.synth)
app.command(epilog=examples("verify nvgesture --raw /disk/nvGesture_v1", "verify --store mini"))(
    verify.verify
)
app.command(epilog=examples("inspect --store viva-synthetic-tiny --contact-sheet"))(inspect.inspect)
app.command(
    epilog=examples(
        "export --store viva --format hdf5 --out viva.h5",
        "export 3f2a --format onnx --modality rgb",
    )
)(export.export)
app.command(
    epilog=examples(
        "derive viva-synthetic --as copied --copy rgb_copy=rgb",
        "derive viva-synthetic --as control --same-class depth",
    )
)(derive.derive)
app.command(name="import", epilog=examples("import viva.h5 --store viva"))(import_.import_)
app.command(
    epilog=examples(
        "run --method mtut --fold all",
        "run --table 7 --dataset viva-synthetic --protocol demo --dry-run",
    )
)(run.run)
app.add_typer(report.report_app, name="report")
app.command(epilog=examples("score predictions.csv --dataset nvgesture --modality rgb"))(
    score.score
)
app.command(
    epilog=examples(
        "predict wave.mp4 --run 3f2a --modality rgb",
        "predict clips/*.avi --run 3f2a --modality depth --json",
    )
)(predict.predict)
app.command(
    name="list",
    epilog=examples("list datasets", "list runs", "list clips --store viva --fold all"),
)(list_.list_)
app.add_typer(weights.weights_app, name="weights")
app.add_typer(bench.bench_app, name="bench")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        console.print(f"mtut-bench {__version__}", highlight=False)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that a user can fix is one message, without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except _InterruptSignal:
        _fail(
            InterruptedRunError(
                "interrupted; finished work is kept", "The same command resumes it."
            )
        )
    except MtutBenchError as error:
        _fail(error)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(
            MtutBenchError(
                f"{error.strerror or error}{where}",
                "Check disk space and folder permissions; finished work is kept.",
            )
        )


class _InterruptSignal(BaseException):
    """Ctrl-C or SIGTERM; typer would swallow KeyboardInterrupt silently."""


def _interrupt(signum: int, frame: object) -> None:
    raise _InterruptSignal


def _fail(error: MtutBenchError) -> None:
    show_error(error)
    sys.exit(error.exit_code)
