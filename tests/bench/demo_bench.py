#!/usr/bin/env python3
"""plastinka demo, whole: a made-up shop of 2,000 titles and 18 months, and a year of a real one. At most four
minutes. The limit is what the demo may take on two cores of its own; the processor time is printed beside it,
for machines that do other things too."""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

LIMIT_SECONDS = 60


def demo(name, *args):
    data = tempfile.mkdtemp(prefix="plastinka-bench-")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    p = subprocess.run([os.environ["PLASTINKA"], "demo", *args, "--exit", "--port", "0", "--data", data + "/d"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(data, ignore_errors=True)
    if p.returncode != 0:
        print(p.stdout)
        sys.exit("the demo failed: " + name)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print("%s: %.1f s, %.1f s of processor time (load %.1f)" % (name, seconds, cpu, os.getloadavg()[0]))
    for line in p.stdout.splitlines():
        if re.match(r"  (made-up|upload|training|three|this forecast|mean of three|last month)", line):
            print(" " + line)
    print("@figure\tdemo: %s, seconds\t%.2f\t%d\t1\tlower" % (name, seconds, LIMIT_SECONDS))
    print("@figure\tdemo: %s, processor seconds of two cores\t%.2f\t%d\t1\tlower" % (name, cpu, 2 * LIMIT_SECONDS))


def main():
    demo("made-up shop of 2,000 titles")
    shop = os.path.join(os.environ.get("BENCH_DATA", "../shared/data"), "online-retail-store")
    if os.path.isdir(shop):
        demo("a real shop's year", shop)
    else:
        print("no data at " + shop)


main()
