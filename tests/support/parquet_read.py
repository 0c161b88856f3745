"""Reads the parquet files we write, out of the format's own words (parquet.thrift, Encodings.md) and nothing of ours:
flat tables, plain pages, gzip or none."""
import datetime
import gzip
import struct


class Thrift:
    """The compact protocol: structs as {field number: value}."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        x = shift = 0
        while True:
            b = self.byte()
            x |= (b & 127) << shift
            shift += 7
            if b < 128:
                return x

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return struct.unpack("b", bytes([self.byte()]))[0]
        if kind in (4, 5, 6):
            x = self.varint()
            return (x >> 1) ^ -(x & 1)
        if kind == 7:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8:self.at])[0]
        if kind == 8:
            n = self.varint()
            self.at += n
            return self.data[self.at - n:self.at]
        if kind in (9, 10):
            head = self.byte()
            n = head >> 4
            if n == 15:
                n = self.varint()
            return [self.value(head & 15) for _ in range(n)]
        if kind == 12:
            return self.struct()
        raise ValueError("thrift type %d" % kind)

    def struct(self):
        out, field = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return out
            field = field + (head >> 4) if head >> 4 else self.value(4)
            out[field] = self.value(head & 15)


def levels(data, n):
    """The hybrid of runs and packed bits, one bit wide."""
    t, out = Thrift(data), []
    while t.at < len(data):
        head = t.varint()
        if head & 1:
            for _ in range(head >> 1):
                b = t.byte()
                out += [b >> i & 1 for i in range(8)]
        else:
            out += [t.byte()] * (head >> 1)
    assert len(out) >= n
    return out[:n]


def plain(data, kind, n):
    if kind == 1:
        out = struct.unpack("<%di" % n, data)
    elif kind == 2:
        out = struct.unpack("<%dq" % n, data)
    elif kind == 5:
        out = struct.unpack("<%dd" % n, data)
    else:
        assert kind == 6, kind
        out, at = [], 0
        for _ in range(n):
            size = struct.unpack_from("<I", data, at)[0]
            out.append(data[at + 4:at + 4 + size])
            at += 4 + size
        assert at == len(data)
    return list(out)


def read(path):
    """(names, rows, number of row groups); dates as datetime.date, texts as str, gaps None."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:4] == b"PAR1" and data[-4:] == b"PAR1"
    size = struct.unpack("<I", data[-8:-4])[0]
    meta = Thrift(data, len(data) - 8 - size)
    footer = meta.struct()
    assert meta.at == len(data) - 8 and footer[1] == 1
    schema = footer[2][1:]
    assert footer[2][0][5] == len(schema)
    names, columns, n_rows = [s[4].decode() for s in schema], [[] for _ in schema], 0
    for group in footer.get(4, []):
        n_rows += group[3]
        assert len(group[1]) == len(schema)
        for i, (s, chunk) in enumerate(zip(schema, group[1])):
            m = chunk[3]
            assert m[1] == s[1] and [p.decode() for p in m[3]] == [names[i]] and m[5] == group[3]
            t = Thrift(data, m[9])
            head = t.struct()
            page = data[t.at:t.at + head[3]]
            assert t.at + head[3] - m[9] == m[7]
            page = gzip.decompress(page) if m[4] == 2 else page
            assert len(page) == head[2] and head[1] == 0 and head[5][1] == group[3] and head[5][2] == 0
            n_levels = struct.unpack("<I", page[:4])[0]
            given = levels(page[4:4 + n_levels], group[3])
            found = iter(plain(page[4 + n_levels:], s[1], sum(given)))
            for g in given:
                x = next(found) if g else None
                if g and s.get(6) == 0:
                    x = x.decode("utf-8")
                elif g and s.get(6) == 6:
                    x = datetime.date(1970, 1, 1) + datetime.timedelta(days=x)
                columns[i].append(x)
    assert n_rows == footer[3] and all(len(c) == n_rows for c in columns)
    return names, list(zip(*columns)), len(footer.get(4, []))
