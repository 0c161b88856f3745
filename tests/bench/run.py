#!/usr/bin/env python3
"""Runs the benchmarks whose name contains NAME, and collects their figures.

A benchmark is tests/bench/NAME_bench.{py,sh,lua,c}. Each line it prints that begins with "@figure"
is one figure, fields apart by tabs:

    @figure  name  ours  peer  target  higher|lower

ours / peer is the ratio; it is ok when it is at least (higher) or at most (lower) the target. The
peer is measured in the same run: another program, or a limit of the machine. All figures are written
to build/bench.tsv: name, ours, peer, ratio, target, ok|short. A figure whose benchmark was not run
this time stays as it was.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench.tsv"
HEADER = ["name", "ours", "peer", "ratio", "target", "verdict"]


def number(x):
    return f"{x:.6g}"


def command(path):
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    if path.suffix == ".lua":
        return [str(ROOT / "build" / "plastinka"), "lua", str(path)]
    if path.suffix == ".c":
        subprocess.run(["ninja", "-C", str(ROOT / "build"), "--quiet", path.stem], check=True)
        return [str(ROOT / "build" / "bench" / path.stem)]
    return ["sh", str(path)]


def figure(line):
    _, name, ours, peer, target, direction = line.rstrip("\n").split("\t")
    ours, peer, target = float(ours), float(peer), float(target)
    ratio = ours / peer if peer else float("nan")
    ok = ratio >= target if direction == "higher" else ratio <= target
    return [name, number(ours), number(peer), number(ratio), number(target), "ok" if ok else "short"]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    env = dict(os.environ, PLASTINKA=str(ROOT / "build" / "plastinka"), SOURCE_DIR=str(ROOT),
               BUILD_DIR=str(ROOT / "build"))
    env.setdefault("BENCH_DATA", str(ROOT.parent / "shared" / "data"))
    benches = sorted(p for p in (ROOT / "tests" / "bench").glob("*_bench.*")
                     if wanted.replace("-", "_") in p.stem)
    if not benches:
        print(f"there is no benchmark whose name contains '{wanted}'", file=sys.stderr)
        return 2
    figures = {}
    if OUT.exists():
        for line in OUT.read_text().splitlines()[1:]:
            figures[line.split("\t")[0]] = line.split("\t")
    failed = 0
    for path in benches:
        print(f"== {path.stem}", flush=True)
        with subprocess.Popen(command(path), env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as p:
            for line in p.stdout:
                if line.startswith("@figure\t"):
                    row = figure(line)
                    figures[row[0]] = row
                    print("\t".join(row), flush=True)
                else:
                    print(line, end="", flush=True)
        if p.returncode:
            print(f"{path.stem} failed with exit code {p.returncode}")
            failed = 1
        write(figures)  # what was measured stays, whatever becomes of the next
    return failed


def write(figures):
    OUT.write_text("\n".join("\t".join(r) for r in [HEADER] + list(figures.values())) + "\n")


if __name__ == "__main__":
    sys.exit(main())
