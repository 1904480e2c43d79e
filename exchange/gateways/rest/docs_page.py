"""/docs: Swagger UI from files that came with the installation; the browser is told to load nothing from anywhere else."""

from functools import cache
from importlib.resources import files

from starlette.responses import Response

ASSETS = "fastapi_swagger"  # a package of nothing but Swagger UI's files and a helper that is not used here
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>CPX: the REST door</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<p style="font-family: sans-serif; margin: 1em">The socket is described in <code>/asyncapi.json</code> (AsyncAPI 3).</p>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# validatorUrl null: else the page asks a public server to check the document.
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null, filter: true,
  persistAuthorization: false, displayRequestDuration: true, docExpansion: "none",
});
"""
OWN = {"start.js": (START, "text/javascript")}
THEIRS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def page() -> Response:
    """The page itself."""
    return Response(PAGE, media_type="text/html", headers={"content-security-policy": POLICY})


def asset(name: str) -> Response | None:
    """A file that the page loads; None for any other name."""
    if name in OWN:
        text, kind = OWN[name]
        return Response(text, media_type=kind)
    if name in THEIRS:
        return Response(_read(name), media_type=THEIRS[name])
    return None


@cache
def _read(name: str) -> bytes:
    return files(ASSETS).joinpath("resources", name).read_bytes()
