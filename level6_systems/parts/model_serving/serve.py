"""`python -m level6_systems.parts.model_serving.serve --model digits.onnx --port 8000`: serve an ONNX classifier over HTTP."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, serve until SIGTERM, and return the exit status: 0 served and drained,
    1 the model or the address cannot be used, 2 usage."""
    from level6_systems.parts.model_serving.requests import ServiceConfig
    from level6_systems.parts.model_serving.service import OnnxPredictor, serve

    parser = argparse.ArgumentParser(
        prog="python -m level6_systems.parts.model_serving.serve", description=__doc__
    )
    parser.add_argument("--model", required=True, help="ONNX file written by export_onnx")
    for field in dataclasses.fields(ServiceConfig):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            help=f"{field.metadata['help']} (default: {field.default})",
        )
    options = vars(parser.parse_args(arguments))
    model = options.pop("model")
    try:
        config = ServiceConfig(**options)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    try:
        serve(OnnxPredictor(model), config)
    except Exception as error:
        print(f"cannot serve {model}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
