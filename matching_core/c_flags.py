"""What a C compiler must be told to build a program on the C face: `cc program.c $(python -m matching_core.c_flags)`.

`python3-config --includes --ldflags --embed` and the folder of our headers say the same, where the python3-config found
first belongs to this very Python; in a virtual environment there is none.
"""

import sys
import sysconfig

from . import include_dir


def compile_flags() -> list[str]:
    """Where matching_core.h, matching_core_api.h and Python.h are."""
    folders = dict.fromkeys((include_dir(), sysconfig.get_path("include"), sysconfig.get_path("platinclude")))
    return [f"-I{folder}" for folder in folders]


def link_flags() -> list[str]:
    """Python as a library, found again when the program starts."""
    folders = [folder for name in ("LIBDIR", "LIBPL") if (folder := sysconfig.get_config_var(name))]
    system = [sysconfig.get_config_var(name) or "" for name in ("LIBS", "SYSLIBS", "LINKFORSHARED")]
    return [
        *(f"-L{folder}" for folder in folders),
        f"-Wl,-rpath,{folders[0]}",
        f"-lpython{sysconfig.get_config_var('LDVERSION')}",
        *" ".join(system).split(),
    ]


if __name__ == "__main__":
    sys.stdout.write(" ".join(compile_flags() + link_flags()) + "\n")
