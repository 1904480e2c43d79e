#!/usr/bin/env bash
# The suite of the core on a build with AddressSanitizer and UBSan, in a copy of the tree: docs/guides/sanitizers.md.
# usage: tests/fuzz/asan.sh [arguments of pytest]            default: nearly all of tests/matching_core
#        tests/fuzz/asan.sh --fuzz [arguments of the fuzz target]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${CPX_PYTHON:-$root/.venv/bin/python}
copy=${CPX_ASAN_COPY:-$(mktemp -d)}

mkdir -p "$copy"
tar -C "$root" --exclude=./.venv --exclude=./.git --exclude=./build --exclude='*.so' -cf - . | tar -C "$copy" -xf -
cd "$copy"
ln -sfn "$(dirname "$(dirname "$python")")" .venv
# No Python of ours may have been built with the sanitizer, so its library comes first and leaks of Python are not asked for.
export CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
CPX_DEBUG=1 "$python" setup.py -q build_ext --inplace
asan=$(gcc -print-file-name=libasan.so) ubsan=$(gcc -print-file-name=libubsan.so)
export CPX_TEST_DATA="${CPX_TEST_DATA:-$root/../shared}"
export LD_PRELOAD="$asan:$ubsan" PYTHONPATH="$copy" PYTHONMALLOC=malloc
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
if [ "${1:-}" = --fuzz ]; then
    shift
    exec "$python" tests/fuzz/atheris_process.py "$@"
fi
if [ $# = 0 ]; then
    # left out: what measures this process, what runs elsewhere, what starts a Python without the sanitizers' libraries
    set -- tests/matching_core --ignore tests/matching_core/test_memory.py --ignore tests/matching_core/test_canaries.py \
        --deselect "tests/matching_core/test_interface.py::test_the_environment_may_insist_on_an_engine"
fi
exec "$python" -m pytest -q -p no:cacheprovider -p no:faulthandler "$@"
