"""The page of template_bench.lua by Jinja2, for the ratio."""
import time
from jinja2 import Environment

SOURCE = """<table>
{% for r in rows %}
<tr><td>{{ r.barcode }}</td><td>{{ r.artist }}</td><td>{{ r.album }}</td><td>{{ r.price }}</td>
<td>{{ r.sold }}</td><td>{{ r.stock }}</td><td>{{ r.mean }}</td><td>{{ r.style }}</td></tr>
{% endfor %}
</table>
"""
page = Environment(autoescape=True, trim_blocks=True).from_string(SOURCE)
rows = [dict(barcode=f"46{10000000000 + i}", artist=f"Artist & Sons {i % 50}", album=f"Album <{i}>",
             price=690 + i % 100, sold=i % 7, stock=i % 11, mean=i * 0.37, style="Rock")
        for i in range(1, 1001)]
best = 1e9
for _ in range(5):
    start = time.perf_counter()
    for _ in range(10):
        text = page.render(rows=rows)
    best = min(best, (time.perf_counter() - start) / 10)
print(f"jinja2: {len(text)} bytes, {best * 1000:.2f} ms a page, {1000 / best:.0f} rows/s")
