"""The Cython extensions and their directives; everything else is in pyproject.toml.

Every `matching_core/*.pyx` is one extension. All are optional: where there is no compiler, no Python
headers or no Cython, the install goes through and the plain Python engine is used.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
DEBUG = os.environ.get("CPX_DEBUG", "") not in ("", "0")
PURE = os.environ.get("CPX_PURE", "") not in ("", "0")

RELEASE_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    # Typed memoryviews are checked once where they are made, which is at the border of a batch.
    "initializedcheck": True,
    "embedsignature": True,
}
DEBUG_DIRECTIVES = RELEASE_DIRECTIVES | {
    "boundscheck": True,
    "wraparound": True,
    "overflowcheck": True,
    # cdivision stays as in release: Python division rules would change results, not find faults.
}


def extensions() -> list[Extension]:
    sources = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("matching_core/*.pyx"))
    if PURE or not sources:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        sys.stderr.write("warning: no Cython: no extension is built, the plain Python engine is used\n")
        return []
    if DEBUG:
        flags, macros = ["-O1", "-g", "-UNDEBUG"], [("CPX_DEBUG", "1")]
    else:
        flags, macros = ["-O3"], [("CYTHON_WITHOUT_ASSERTIONS", "1")]
    if platform.machine().lower() in ("x86_64", "amd64"):
        flags.append("-mpopcnt")  # in every such processor since 2008; the ladder counts bits
    headers = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("matching_core/include/*.h"))
    made = cythonize(
        [
            Extension(
                source.removesuffix(".pyx").replace("/", "."),
                [source],
                include_dirs=["matching_core/include"],
                define_macros=macros,
                extra_compile_args=flags,
                depends=headers,
            )
            for source in sources
        ],
        compiler_directives=DEBUG_DIRECTIVES if DEBUG else RELEASE_DIRECTIVES,
        # The two builds differ in their directives, which timestamps do not show: each keeps its own C files.
        build_dir="build/cython-debug" if DEBUG else "build/cython-release",
        annotate=DEBUG,
        quiet=True,
    )
    for extension in made:
        extension.optional = True  # set here because cythonize does not carry it over
    return made


os.chdir(ROOT)
setup(ext_modules=extensions())
