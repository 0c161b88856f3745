"""Pages of 1,000 rows from a template against Jinja2, the same pages: plain values, and numbers with thousands apart
and fixed decimals. Processor time, the two taking turns. Some 20 seconds."""
import os
import subprocess
import sys
import time

from jinja2 import Environment

PLASTINKA = os.environ.get("PLASTINKA", "build/plastinka")
SOURCE_DIR = os.environ.get("SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ROUNDS = 5

PLAIN = """<table>
{% for r in rows %}
<tr><td>{{ r.barcode }}</td><td>{{ r.artist }}</td><td>{{ r.album }}</td><td>{{ r.price }}</td>
<td>{{ r.sold }}</td><td>{{ r.stock }}</td><td>{{ r.mean }}</td><td>{{ r.style }}</td></tr>
{% endfor %}
</table>
"""
FORMATTED = PLAIN.replace("{{ r.price }}", "{{ r.price | number }}").replace("{{ r.mean }}", "{{ r.mean | number(2) }}")


def number(v, decimals=0):
    return "{:,.{}f}".format(v, decimals).replace(",", "\u00a0").replace(".", ",")


ROWS = [dict(barcode=f"46{10000000000 + i}", artist=f"Artist & Sons {i % 50}", album=f"Album <{i}>",
             price=690 + i % 100 * 37, sold=i % 7, stock=i % 11, mean=i * 0.37, style="Rock") for i in range(1, 1001)]


def theirs(source):
    env = Environment(autoescape=True, trim_blocks=True)
    env.filters["number"] = number
    page = env.from_string(source)
    page.render(rows=ROWS)
    start = time.process_time()
    for _ in range(10):
        text = page.render(rows=ROWS)
    return 10000 / (time.process_time() - start), len(text.encode())


def ours(kind):
    out = subprocess.run([PLASTINKA, "lua", os.path.join(SOURCE_DIR, "tests/bench/template_rows.lua"), kind], check=True,
                         stdout=subprocess.PIPE, text=True).stdout.split()
    return float(out[0]), int(out[1])


def main():
    for kind, source in (("plain", PLAIN), ("formatted", FORMATTED)):
        mine, peer = 0, 0
        for _ in range(ROUNDS):
            rate, size = ours(kind)
            mine = max(mine, rate)
            rate, peer_size = theirs(source)
            peer = max(peer, rate)
        if abs(size - peer_size) > 200:
            sys.exit("the pages differ: %d and %d bytes" % (size, peer_size))
        print("%s: %.0f rows/s, Jinja2 %.0f rows/s, %d bytes" % (kind, mine, peer, size))
        print("@figure\ttemplate rows/s, %s\t%.0f\t%.0f\t5\thigher" % (kind, mine, peer))


main()
