#!/usr/bin/env python3
"""make_jinja_cases.py FILE: fills tests/data/jinja_cases.json in with what Jinja2 itself makes of each template.

A case is {"template"}; it gets "expected", or "error" where Jinja2 fails. The environment is that of transformers.
To add a case, append it to the file and run this.
"""
import datetime
import json
import sys

import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.TemplateError(message)


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2025, 3, 9, 14, 5, 7).strftime
    with open(sys.argv[1], encoding="utf-8") as f:
        data = json.load(f)
    cases = []
    for case in data["cases"]:
        case = {"template": case["template"]}
        try:
            case["expected"] = env.from_string(case["template"]).render(**data["variables"])
        except Exception as e:
            case["error"] = f"{type(e).__name__}: {e}"
        cases.append(json.dumps(case, ensure_ascii=False))
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write('{"variables": ' + json.dumps(data["variables"], ensure_ascii=False) + ',\n"cases": [\n' + ",\n".join(cases) + "\n]}\n")


main()
