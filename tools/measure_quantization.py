#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What each weight type costs: quantises a model to each, measures it, and prints the table of docs/quantization.md.

  tools/measure_quantization.py SOURCE.gguf TEXT [--imatrix-text OTHER_TEXT] [--write docs/quantization.md]

SOURCE is the model in F16, BF16 or F32, TEXT what the measurement runs over. The importance matrix is made from another
text: one that the result is measured with would flatter it. Needs Python 3.8 and nothing else.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TYPES = ["F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS",
         "MXFP4", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0"]
EXACT = {"F32", "F16", "BF16", "Q8_0"}   # nothing is searched: an importance matrix changes nothing
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = ["| type | importance matrix | bytes | bits per weight | relative RMS | perplexity | KL divergence | same top token, % |",
        "|---|---|---:|---:|---:|---:|---:|---:|"]


class Tool:
    """The program infer; a failure ends the script unless its message has `excuse` in it: then the answer is None."""

    def __init__(self, program):
        self.program = program

    def __call__(self, *arguments, ok=(0,), excuse=None):
        words = [self.program, *map(str, arguments)]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        if done.returncode in ok:
            return done.stdout
        if excuse and excuse in done.stderr:
            return None
        sys.exit("%s\n%s" % (" ".join(words), done.stderr))

    def json(self, *arguments, **how):
        return json.loads(self(*arguments, "--json", **how))


def measure(infer, source, model, how, base):
    """One row: the figures of a file beside the source's."""
    run = infer.json("perplexity", "-m", model, *how, "--kl-base", base)
    distance = infer.json("diff", source, model, ok=(0, 1))
    facts = infer.json("info", "-m", model)
    against = run["base"]
    return [format(model.stat().st_size, ","), "%.3f" % facts["bits_per_weight"], "%.5f" % distance["relative_rms"],
            "%.3f" % run["perplexity"], "%.5f ± %.5f" % (against["kl_divergence"], against["kl_divergence_error"]),
            "%.1f" % against["same_top_percent"]]


def table(infer, options, folder):
    source, how = options.source, ["--tokens-file" if options.ids else "-f", options.text, "--ctx", options.ctx]
    base, matrix = folder / "base.kl", folder / "importance.gguf"
    start = infer.json("perplexity", "-m", source, *how, "--save-kl-base", base)
    rows = ["%s: perplexity %.3f ± %.3f over %d tokens, windows of %d." % (
        source.name, start["perplexity"], start["perplexity_error"], start["scored_tokens"], options.ctx), ""] + HEAD
    if options.imatrix_text:
        infer("imatrix", "-m", source, "-f", options.imatrix_text, "--ctx", options.ctx, "-o", matrix)
    for name in options.types:
        ways = [("", [])] + ([("yes", ["--imatrix", matrix])] if options.imatrix_text and name not in EXACT else [])
        for label, more in ways:
            print(name, "with an importance matrix" if more else "", file=sys.stderr)
            made = folder / "made.gguf"
            if infer("quantize", source, made, name, *more, excuse=None if more else "importance matrix") is None:
                continue   # is made with one only
            rows.append("| %s | %s | %s |" % (name, label, " | ".join(measure(infer, source, made, how, base))))
            made.unlink()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path, help="the model in F16, BF16 or F32")
    parser.add_argument("text", help="the text to measure with")
    parser.add_argument("--ids", action="store_true", help="TEXT has token ids, as infer tokenize prints them")
    parser.add_argument("--imatrix-text", help="another text, for the importance matrix; without it there is none")
    parser.add_argument("--ctx", type=int, default=256, help="tokens of a window [256]")
    parser.add_argument("--types", type=lambda text: text.split(","), default=TYPES, help="TYPE,TYPE... [all]")
    parser.add_argument("--infer", default="build/infer", help="the program [build/infer]")
    parser.add_argument("--write", type=pathlib.Path, help="put the table between the marks of this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = "\n".join(table(Tool(options.infer), options, pathlib.Path(folder)))
    print(rows)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        options.write.write_text(before + BEGIN + "\n" + rows + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
