"""The matching core: books, balances and capacity of one venue as one deterministic function of its commands.

`Engine` is the compiled engine where it has been built, else the reference engine; IMPLEMENTATION says which. The
environment variable CPX_ENGINE=reference or compiled insists on one of them. It is read once, at import: no command's
outcome can depend on it, since both engines give the same events, hashes and snapshots for the rules that both know;
RULES_VERSION of an engine says which it knows (docs/rules/matching.md), and whichever does not know a rule refuses it.
"""

from os import environ, path

from .records import COMMAND_DTYPE, EVENT_DTYPE
from .reference import Engine as ReferenceEngine
from .views import Order

__all__ = ["COMMAND_DTYPE", "EVENT_DTYPE", "IMPLEMENTATION", "Engine", "Order", "ReferenceEngine", "include_dir"]


def _choose_engine(wanted: str):
    if wanted not in ("", "compiled", "reference"):
        raise ImportError(f"CPX_ENGINE must be reference or compiled, not {wanted!r}")
    if wanted == "reference":
        return ReferenceEngine, "reference"
    try:
        from .engine import Engine as CompiledEngine
    except ModuleNotFoundError as missing:
        if missing.name != f"{__name__}.engine":
            raise
        if wanted == "compiled":
            raise ImportError(
                "CPX_ENGINE=compiled, but the compiled engine is not built: run `./cpx build` "
                "(or `python setup.py build_ext --inplace`), or unset CPX_ENGINE"
            ) from None
        return ReferenceEngine, "reference"
    return CompiledEngine, "compiled"


Engine, IMPLEMENTATION = _choose_engine(environ.get("CPX_ENGINE", ""))


def include_dir() -> str:
    """The folder of matching_core.h and matching_core_api.h, for C compilers."""
    return path.join(path.dirname(path.abspath(__file__)), "include")
