"""`python -m exchange.cli`: what ./cpx runs once .venv is ready."""

from exchange.cli.main import app

if __name__ == "__main__":
    app(prog_name="cpx")
