"""Tables at the edge of what a workbook can hold: 16,384 columns, the last row of a sheet, cells of 32,767 characters,
emoji, text from right to left, cells that look like formulas; and forms that are no upload."""
import os
import tempfile
import zipfile
from xml.sax.saxutils import escape

import golden_upload as golden
from http_support import check, run, same
from jobs_support import Jobs

HEAD = ["Штрихкод", "Исполнитель", "Альбом", "Конверт", "Цена, руб.", "Тип", "Год записи", "Год выпуска", "Стиль",
        "Дата создания"]
LONG = "🎵" * 16383 + "я"  # 32,767 units of UTF-16, as Excel counts
RTL = "\u202eأم كلثوم — שלום\u202c"


def letters(n):
    out = ""
    while n >= 0:
        out, n = chr(65 + n % 26) + out, n // 26 - 1
    return out


def book(path, rows):
    """rows: (number of the row, {column: value})."""
    body = []
    for number, cells in rows:
        row = "".join('<c r="%s%d" %s</c>' % (
            letters(at), number, 't="inlineStr"><is><t>%s</t></is>' % escape(v) if isinstance(v, str) else "><v>%s</v>" % v)
            for at, v in sorted(cells.items()))
        body.append('<row r="%d">%s</row>' % (number, row))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("[Content_Types].xml", '<Types xmlns="%scontent-types"><Default Extension="xml" ContentType="application/xml"/>'
                   '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
                   'spreadsheetml.sheet.main+xml"/></Types>' % package)
        z.writestr("_rels/.rels", '<Relationships xmlns="%srelationships"><Relationship Id="r1" Type="%s/officeDocument" '
                   'Target="xl/workbook.xml"/></Relationships>' % (package, rel))
        z.writestr("xl/workbook.xml", '<workbook xmlns="%s" xmlns:r="%s"><sheets><sheet name="A" sheetId="1" r:id="r1"/>'
                   "</sheets></workbook>" % (main, rel))
        z.writestr("xl/_rels/workbook.xml.rels", '<Relationships xmlns="%srelationships"><Relationship Id="r1" '
                   'Type="%s/worksheet" Target="worksheets/sheet1.xml"/></Relationships>' % (package, rel))
        z.writestr("xl/worksheets/sheet1.xml", '<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>'
                   % (main, "".join(body)))


def line(artist, album, last, at=0):
    values = ["1", artist, album, "SS", 1000, "Оригинал", 1980, 1980, "Rock", "2025-01-02", last]
    return {at + i: v for i, v in enumerate(values)}


def with_server(test):
    def go():
        server = Jobs()
        try:
            with tempfile.TemporaryDirectory() as folder:
                test(server, folder)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


@with_server
def test_edges(server, folder):
    """Both books use the last columns there are; the rest of the header is other people's columns."""
    first = 16384 - 11
    for name, last, rows in (
            ("stock.xlsx", "Экземпляры", [line(LONG, "Альбом", 3, first), line(RTL, "Альбом", 2, first)]),
            ("sales.xlsx", "Дата заказа", [line(LONG, "Альбом", "2025-01-20", first),
                                            line("=cmd()|'/c calc'!A1", "+1", "2025-01-31", first)])):
        head = {i: "столбец %d" % i for i in range(first)}
        head.update({first + i: v for i, v in enumerate(HEAD + [last])})
        book(os.path.join(folder, name), [(5, head)] + [(1048575 + i, r) for i, r in enumerate(rows)])
    files = [["stock", folder + "/stock.xlsx", "stock.xlsx"], ["sales", folder + "/sales.xlsx", "sales.xlsx"]]
    job = server.ended(golden.post(server, files, {})[1]["job_id"], 120)
    same(job["status"], "completed", job)
    same((job["result"]["rows"], job["result"]["sold_units"], job["result"]["stock_units"]),
         ({"read": 4, "accepted": 4, "rejected": 0}, 2, 5))
    same(sorted(a for a, in server.sql("SELECT artist FROM dim_multiindex_mapping")),
         sorted([LONG, RTL, "=cmd()|'/c calc'!A1"]))


@with_server
def test_a_row_too_many(server, folder):
    book(folder + "/stock.xlsx", [(1, dict(enumerate(HEAD + ["Экземпляры"]))), (1048577, line("A", "B", 1))])
    book(folder + "/sales.xlsx", [(1, dict(enumerate(HEAD + ["Дата заказа"]))), (2, line("A", "B", "2025-01-20"))])
    files = [["stock", folder + "/stock.xlsx", "stock.xlsx"], ["sales", folder + "/sales.xlsx", "sales.xlsx"]]
    job = server.ended(golden.post(server, files, {})[1]["job_id"], 60)
    same((job["status"], job["error_code"]), ("failed", "corrupt_file"), job)
    same(server.sql("SELECT count(*) FROM data_months"), [(0,)])


@with_server
def test_no_upload(server, folder):
    with open(folder + "/x.csv", "w") as f:
        f.write("a\n1\n")
    stock, sales = ["stock", folder + "/x.csv", "x.csv"], ["sales", folder + "/x.csv", "x.csv"]
    same(golden.post(server, [stock, stock, sales], {})[0], 422, "two stocks")
    same(golden.post(server, [stock], {})[0], 422, "no sales")
    same(golden.post(server, [stock] + [sales] * 200, {})[0], 413, "too many files")
    same(golden.post(server, [stock, sales], {"sheet": "x" * 201})[0], 422)
    same(golden.post(server, [stock, sales], {"stock_date": "2025-02-30"})[0], 422)
    check(os.listdir(str(server.data) + "/uploads") == [], "nothing is kept")
    same(server.sql("SELECT count(*) FROM jobs WHERE job_type = 'data_upload'"), [(0,)])


run(test_edges, test_a_row_too_many, test_no_upload)
