#!/usr/bin/env python3
"""Writes vectors.json: every message of docs/protocol.md as fields and as bytes, and frames that must be refused.

It follows the page, not the program, so that the two check each other. Run it after a change of the page:
    python3 tests/protocol/make_vectors.py > tests/protocol/vectors.json
"""
import json
import struct

MAGIC = 0x54524F50594C4C53
TYPES = {"hello": 1, "route": 2, "define": 3, "remove": 4, "changes": 5, "position": 6, "heartbeat": 7, "hops": 8, "ack": 9,
         "close": 10, "refresh": 11, "stale_changes": 12, "begin": 13, "ask_digests": 14, "route_digests": 15,
         "bucket_digests": 16, "ask_repair": 17, "repaired": 18, "renew": 19,
         "journal_held": 20, "journal": 21, "journal_ack": 22}
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def u8(n): return struct.pack("<B", n)
def u16(n): return struct.pack("<H", n)
def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)
def i64(n): return struct.pack("<q", n)
def f64(n): return struct.pack("<d", n)


def varint(n):
    out = b""
    while n >= 0x80:
        out += u8(n & 0x7F | 0x80)
        n >>= 7
    return out + u8(n)


def zigzag(n): return varint((n << 1) ^ (n >> 63) if n >= 0 else ((-n) << 1) - 1)
def wrapped(n): return (n + (1 << 63)) % (1 << 64) - (1 << 63)  # differences of times are modulo 2^64
def text(t):
    b = t.encode()
    return varint(len(b)) + b
def texts(list_): return varint(len(list_)) + b"".join(text(t) for t in list_)
def frame(kind, body): return u32(len(body) + 1) + u8(TYPES.get(kind, kind) if isinstance(kind, str) else kind) + body
def hexed(b): return " ".join(f"{x:02x}" for x in b)
def opaque(n): return f"0x{n:016x}"


VECTORS, MALFORMED = [], []


def vector(name, kind, sender, fields, body):
    VECTORS.append({"name": name, "type": kind, "from": sender, "fields": fields, "frame": hexed(frame(kind, body))})


# --- Hello -------------------------------------------------------------------------------------------------------------
def hello_body(version=1, oldest=1, node="plant-1", incarnation=0x1122334455667788, heartbeat=SECOND, timeout=3 * SECOND,
               send=(), receive=(), held=(0, 0, 0, 0), magic=MAGIC, flags=0):
    return (u64(magic) + u16(version) + u16(oldest) + text(node) + u64(incarnation) + i64(heartbeat) + i64(timeout) +
            texts(list(send)) + texts(list(receive)) + b"".join(u64(h) for h in held) + u8(flags))


def hello(name, **f):
    body = hello_body(**f)
    held = f.get("held", (0, 0, 0, 0))
    vector(name, "hello", "both",
           {"version": f.get("version", 1), "oldest": f.get("oldest", 1), "node": f.get("node", "plant-1"),
            "incarnation": opaque(f.get("incarnation", 0x1122334455667788)), "heartbeat": f.get("heartbeat", SECOND),
            "timeout": f.get("timeout", 3 * SECOND), "send": list(f.get("send", ())), "receive": list(f.get("receive", ())),
            "held": {"incarnation": opaque(held[0]), "seen": held[1], "defined": held[2], "view": opaque(held[3])},
            "flags": f.get("flags", 0)}, body)


hello("hello of a plant that holds nothing", send=["acme/berlin/**"])
hello("hello of a plant that reads only acknowledgements", send=["acme/berlin/**"], flags=2)
hello("hello of a node that keeps its peer's records", receive=["acme/**"], flags=1)
hello("hello of a consumer that resumes", node="büro-1", incarnation=0xFFFFFFFFFFFFFFFF, heartbeat=250_000_000, timeout=SECOND,
      receive=["acme/**", "!acme/secret/**"], held=(0x1122334455667788, 1_000_000, 42, 0x0123456789ABCDEF))

# --- Small control messages ----------------------------------------------------------------------------------------------
vector("begin anew", "begin", "sender", {"resumed": False, "view": opaque(7)}, u8(0) + u64(7))
vector("begin where the peer stopped", "begin", "sender", {"resumed": True, "view": opaque(0xFEDCBA9876543210)},
       u8(1) + u64(0xFEDCBA9876543210))
vector("heartbeat, the first", "heartbeat", "both", {"sent": 5 * SECOND, "echo": 0, "held": 0, "utc": T0},
       u64(5 * SECOND) + u64(0) + u64(0) + i64(T0))
vector("heartbeat that echoes", "heartbeat", "both", {"sent": 6 * SECOND, "echo": 77 * SECOND, "held": 250_000, "utc": T0 + SECOND},
       u64(6 * SECOND) + u64(77 * SECOND) + u64(250_000) + i64(T0 + SECOND))
vector("ack", "ack", "receiver", {"bytes": 32768}, u64(32768))
vector("close, with a reason", "close", "both", {"code": 3, "text": "peer has this node's own name"},
       u16(3) + text("peer has this node's own name"))
vector("close, shutting down", "close", "both", {"code": 0, "text": ""}, u16(0) + text(""))
vector("renew", "renew", "listener", {}, b"")

EPOCH = 0x18A0C0FFEE000001
vector("journal_held, two streams", "journal_held", "listener",
       {"streams": [{"name": "plant-1", "epoch": opaque(EPOCH), "sequence": 300}, {"name": "plant-2", "epoch": opaque(7), "sequence": 1}]},
       varint(2) + text("plant-1") + u64(EPOCH) + varint(300) + text("plant-2") + u64(7) + varint(1))
vector("journal_held, nothing", "journal_held", "listener", {"streams": []}, varint(0))
vector("journal_ack", "journal_ack", "listener", {"records": 300}, u64(300))


def journal_record(kind, body): return u8(kind) + varint(len(body)) + body
def journal_stream(id_, name, epoch): return journal_record(1, varint(id_) + text(name) + u64(epoch) + varint(0))
def journal_point(id_, stream, path, meta_): return journal_record(2, varint(id_) + varint(stream) + text(path) + meta_)
def journal_change(stream, sequence, point, backfill, status, time, value_):
    return journal_record(3, varint(stream) + varint(sequence) + varint(point) + u8(backfill) + varint(status) + i64(time) + value_)
vector("refresh", "refresh", "receiver", {"route": 258}, u16(258))

# --- Routes --------------------------------------------------------------------------------------------------------------
def route_body(route, flags, origin, source, hops, overlay=None, cause=None):
    body = u16(route) + u8(flags) + text(origin) + text(source) + u8(len(hops)) + b"".join(text(h) for h in hops)
    if flags & 1:
        body += u32(overlay) + text(cause[0]) + text(cause[1]) + i64(cause[2]) + text(cause[3])
    return body


def route(name, route_id, covered=False, renew=False, withdrawn=False, complete=False, origin="plant-1", source="line1",
          hops=("plant-1",), overlay=None, cause=None):
    fields = {"route": route_id, "covered": covered, "renew": renew, "withdrawn": withdrawn, "complete": complete,
              "origin": origin, "source": source, "hops": list(hops)}
    if covered:
        fields["overlay"] = overlay
        fields["cause"] = {"node": cause[0], "link": cause[1], "since": cause[2], "what": cause[3]}
    vector(name, "route", "sender", fields,
           route_body(route_id, covered | renew << 1 | withdrawn << 2 | complete << 3, origin, source, hops, overlay, cause))


route("route, new", 1, renew=True)
route("route, complete, two hops", 1, complete=True, hops=("plant-1", "dmz-1"))
route("route, covered", 1, covered=True, renew=True, hops=("plant-1", "dmz-1"), overlay=0x80310000,
      cause=("dmz-1", "plant-1", T0, "timeout"))
route("route, withdrawn", 65535, withdrawn=True, source="", hops=())

# --- Values and definitions -----------------------------------------------------------------------------------------------
# What stands in "value": type (an OPC UA built-in id), array, and the bytes that follow the type byte, without a length.
FIXED = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 19: 4}


def value(type_, contents=b"", array=False): return {"type": type_, "array": array, "contents": hexed(contents)}
def contents_of(v): return bytes.fromhex(v["contents"])
def after_type(v):
    if v["type"] == 0:
        return b""
    c = contents_of(v)
    return c if v["type"] in FIXED and not v["array"] else varint(len(c)) + c
def value_bytes(v): return u8(v["type"] | (128 if v["array"] else 0)) + after_type(v)


def meta_bytes(m):
    low, high = m.get("low"), m.get("high")
    ranged = low is not None or high is not None
    out = u8(m["type"] | (128 if m["array"] else 0))
    out += u8(ranged | m["every"] << 1 | (low is not None) << 2 | (high is not None) << 3) + u8(m["burst"])
    out += text(m["description"]) + text(m["unit"])
    if ranged:
        out += f64(low or 0.0) + f64(high or 0.0)
    return out + texts(m["enum"])


def meta(type_=11, array=False, every=False, burst=0, description="", unit="", low=None, high=None, enum=()):
    m = {"type": type_, "array": array, "every": every, "burst": burst, "description": description, "unit": unit, "enum": list(enum)}
    if low is not None:
        m["low"] = low
    if high is not None:
        m["high"] = high
    return m


def define_body(records):
    out, last_id, last_path, last_time, metas = b"", 0, b"", 0, []
    for r in records:
        path = r["path"].encode()
        shared = 0
        while shared < min(len(path), len(last_path)) and path[shared] == last_path[shared]:
            shared += 1
        out += zigzag(r["id"] - last_id) + varint(r["route"]) + varint(shared) + varint(len(path) - shared) + path[shared:]
        last_id, last_path = r["id"], path
        if r["meta"] in metas:
            out += varint(metas.index(r["meta"]))
        else:
            out += varint(len(metas)) + meta_bytes(r["meta"])
            metas.append(r["meta"])
        out += u8(r["covered"] | r["forced"] << 1) + u32(r["status"]) + zigzag(wrapped(r["time"] - last_time)) + value_bytes(r["value"])
        last_time = r["time"]
    return out


def record(id_, path, meta_, value_, route_id=1, covered=False, forced=False, status=0, time=T0):
    return {"id": id_, "route": route_id, "path": path, "meta": meta_, "covered": covered, "forced": forced, "status": status,
            "time": time, "value": value_}


BAR = meta(unit="bar", description="pressure", low=-1.0, high=16.0)
RECORDS = [record(0, "acme/berlin/line1/pump-1/pressure", BAR, value(11, f64(1.5)))]
vector("define one point", "define", "sender", {"records": RECORDS}, define_body(RECORDS))
RECORDS = [
    record(7, "acme/a/temp", BAR, value(11, f64(41.5))),
    record(3, "acme/a/tempo", meta(type_=0), value(0), covered=True, status=0x80310000, time=T0 - 5),
    record(300, "acme/a/mode", meta(type_=6, enum=("off", "on", "grün"), every=True, burst=3), value(6, b"\x02\x00\x00\x00"), time=T0),
    record(301, "acme/b", meta(type_=12), value(12, "grün".encode()), forced=True, time=-1),
    record(302, "acme/c", meta(type_=11, array=True, high=1.0), value(11, varint(1) + varint(2) + f64(1) + f64(2), array=True)),
]
vector("define several, once each kind of metadata", "define", "sender", {"records": RECORDS}, define_body(RECORDS))

vector("remove", "remove", "sender", {"points": [5, 3, 4_000_000_000]},
       varint(3) + zigzag(5) + zigzag(-2) + zigzag(4_000_000_000 - 3))


# --- Changes -------------------------------------------------------------------------------------------------------------
def changes_body(records):
    out, last_id, last_time, last_status, last_type = b"", -1, 0, 0, 11
    for r in records:
        step, later, status, v = r["id"] - last_id, wrapped(r["time"] - last_time), r["status"], r["value"]
        if step == 1:
            bits, id_ = 0, b""
        elif 2 <= step <= 257:
            bits, id_ = 1, u8(step - 2)
        elif r["id"] < 1 << 24:
            bits, id_ = 2, u32(r["id"])[:3]
        else:
            bits, id_ = 3, u32(r["id"])
        if later == 0:
            time = b""
        elif 0 < later < 65536:
            bits, time = bits | 1 << 2, u16(later)
        elif -(1 << 31) <= later < 1 << 31:
            bits, time = bits | 2 << 2, struct.pack("<i", later)
        else:
            bits, time = bits | 3 << 2, i64(r["time"])
        if status == 0:
            code = b""
        elif status == last_status:
            bits, code = bits | 1 << 4, b""
        else:
            bits, code, last_status = bits | 3 << 4, u32(status), status
        type_byte = v["type"] | (128 if v["array"] else 0)
        if v["type"] == 0:
            bits, kind = bits | 2 << 6, b""
        elif type_byte == last_type:
            kind = b""
        else:
            bits, kind, last_type = bits | 1 << 6, u8(type_byte), type_byte
        out += u8(bits) + id_ + time + code + kind + after_type(v)
        last_id, last_time = r["id"], r["time"]
    return out


def change(id_, v, status=0, time=T0): return {"id": id_, "status": status, "time": time, "value": v}


RECORDS = [change(7, value(11, f64(1.5)), time=0)]
vector("changes: point 7 = 1.5, Good, at time 0", "changes", "sender", {"records": RECORDS}, changes_body(RECORDS))
RECORDS = [
    change(0, value(11, f64(1)), time=T0),
    change(1, value(11, f64(2)), time=T0),
    change(2, value(1, b"\x01"), status=0x80310000, time=T0 + 7),
    change(300, value(1, b"\x00"), status=0x80310000, time=T0 + 100_007),
    change(301, value(0), status=0x40920000, time=T0 - 1_000_000_000),
    change(40_000, value(12, "grün".encode()), time=5),
    change(39_999, value(12), time=-5),
    change(20_000_000, value(11, varint(1) + varint(2) + f64(1) + f64(2), array=True), time=-(1 << 63)),
    change(20_000_001, value(4, b"\xfc\xff"), status=0x40920000, time=(1 << 63) - 1),
    change(20_000_002, value(2, b"\x80"), time=(1 << 63) - 1),
    change(20_000_258, value(14, bytes(range(16))), time=(1 << 63) - 1),
]
vector("changes of every kind", "changes", "sender", {"records": RECORDS}, changes_body(RECORDS))
RECORDS = [change(3, value(11, f64(-0.0)), status=0x808A0000)]
vector("stale changes", "stale_changes", "sender", {"records": RECORDS}, changes_body(RECORDS))

# --- Position and digests ---------------------------------------------------------------------------------------------------
def position(name, seen, defined, synchronized=False, caught_up=False, complete=False, digest=0, points=0):
    fields = {"synchronized": synchronized, "caught_up": caught_up, "complete": complete, "seen": seen, "defined": defined}
    body = u8(synchronized | caught_up << 1 | complete << 2) + varint(seen) + varint(defined)
    if caught_up:
        fields |= {"digest": opaque(digest), "points": points}
        body += u64(digest) + varint(points)
    vector(name, "position", "sender", fields, body)


position("position under way", 128, 1)
position("position, caught up", 1_000_000, 300, True, True, True, 0xDEADBEEF00C0FFEE, 250)

HOPS = [{"node": "dmz-1", "link": "plant-1", "peer": "plant-1", "state": "down", "heard": True, "since": T0, "reason": "timeout", "delay": 0},
        {"node": "plant-1", "link": "dmz", "peer": "dmz-1", "state": "up", "heard": False, "since": T0 - SECOND, "reason": "", "delay": 250_000}]


def hops_body(hops):
    states = {"connecting": 0, "up": 1, "down": 2}
    return varint(len(hops)) + b"".join(
        text(h["node"]) + text(h["link"]) + text(h["peer"]) + u8(states[h["state"]] | (128 if h["heard"] else 0)) +
        i64(h["since"]) + text(h["reason"]) + varint(h["delay"]) for h in hops)


vector("hops", "hops", "sender", {"hops": HOPS}, hops_body(HOPS))
vector("hops: none", "hops", "sender", {"hops": []}, hops_body([]))
vector("ask_digests of all routes", "ask_digests", "receiver", {"route": 0}, u16(0))
vector("ask_digests of the buckets of one route", "ask_digests", "receiver", {"route": 2}, u16(2))
DIGESTS = [(1, 100, 0x0102030405060708), (2, 150, 0xF0E0D0C0B0A09080)]
vector("route_digests", "route_digests", "sender",
       {"digests": [{"route": r, "points": p, "digest": opaque(d)} for r, p, d in DIGESTS]},
       b"".join(u16(r) + u64(p) + u64(d) for r, p, d in DIGESTS))
BUCKETS = {0: 1, 5: 0xFFFFFFFFFFFFFFFF, 1023: 0x8000000000000000}
vector("bucket_digests", "bucket_digests", "sender",
       {"route": 2, "not_zero": [{"bucket": b, "digest": opaque(d)} for b, d in BUCKETS.items()]},
       u16(2) + b"".join(u64(BUCKETS.get(i, 0)) for i in range(1024)))


def bits(buckets):
    out = bytearray(128)
    for b in buckets:
        out[b // 8] |= 1 << (b % 8)
    return bytes(out)


vector("ask_repair", "ask_repair", "receiver", {"route": 2, "buckets": [0, 5, 1023]}, u16(2) + bits([0, 5, 1023]))
vector("repaired", "repaired", "sender", {"route": 2, "buckets": [0, 5, 1023]}, u16(2) + bits([0, 5, 1023]))


# --- What must be refused ------------------------------------------------------------------------------------------------
# state greeting: the frame is the first that is said. running: after a good hello. receiving: after begin and route 1 too.
def refused(name, state, raw, code): MALFORMED.append({"name": name, "state": state, "frame": hexed(raw), "close": code})
def bad(name, state, kind, body, code=1): refused(name, state, frame(kind, body), code)


refused("length 0", "greeting", u32(0) + u8(1), 1)
refused("hello longer than 64 KiB", "greeting", u32(65538) + u8(1), 1)
refused("length of 4 GiB", "running", u32(0xFFFFFFFF) + u8(5), 1)
refused("length one above the longest", "running", u32(16_842_754) + u8(5), 1)
refused("HTTP", "greeting", b"GET / HTTP/1.1\r\n\r\n", 1)
bad("type 0", "running", 0, b"")
bad("unknown type", "running", 200, b"")
bad("other frame before the hello", "greeting", "heartbeat", u64(1) + u64(0) + u64(0) + i64(0))
bad("second hello", "running", "hello", hello_body())
JOURNAL_META = meta(every=True, unit="bar")
JOURNAL_VALUE = value(11, f64(1.5))
vector("journal, a change and a gap", "journal", "dialler",
       {"records": [{"kind": "stream", "id": 0, "name": "plant-1", "epoch": opaque(EPOCH)},
                    {"kind": "point", "id": 3, "stream": 0, "path": "acme/a"},
                    {"kind": "change", "stream": 0, "sequence": 300, "point": 3, "backfill": True, "status": 0x80050000, "time": T0,
                     "value": 1.5},
                    {"kind": "gap", "stream": 0, "sequence": 301, "node": "plant-1", "where": "line1", "cause": "source_down",
                     "start": T0, "end": 0, "lost": 0, "match": ["acme/**"], "detail": "gone"}]},
       journal_stream(0, "plant-1", EPOCH) + journal_point(3, 0, "acme/a", meta_bytes(JOURNAL_META)) +
       journal_change(0, 300, 3, 1, 0x80050000, T0, value_bytes(JOURNAL_VALUE)) +
       journal_record(4, varint(0) + varint(301) + text("plant-1") + text("line1") + u8(1) + i64(T0) + i64(0) + varint(0) +
                      texts(["acme/**"]) + text("gone") + varint(0)))

bad("hello: other magic", "greeting", "hello", hello_body(magic=1))
bad("hello: cut short", "greeting", "hello", hello_body()[:-1])
bad("hello: name that is not UTF-8", "greeting", "hello",
    u64(MAGIC) + u16(1) + u16(1) + varint(2) + b"\xff\xfe" + u64(1) + i64(SECOND) + i64(SECOND) + varint(0) * 2 + u64(0) * 4)
bad("hello: name longer than 256 bytes", "greeting", "hello", hello_body(node="n" * 257))
bad("hello: 1025 patterns", "greeting", "hello", hello_body(receive=["a"] * 1025))
bad("hello: timeout shorter than heartbeat", "greeting", "hello", hello_body(timeout=SECOND - 1))
bad("hello: heartbeat of 0", "greeting", "hello", hello_body(heartbeat=0))
bad("hello: timeout above 24 h", "greeting", "hello", hello_body(timeout=86_400 * SECOND + 1))
bad("hello: pattern that is none", "greeting", "hello", hello_body(receive=["a//b"]))
bad("hello: version 0", "greeting", "hello", hello_body(version=0, oldest=0), 2)
bad("hello: version 0 with an oldest above it", "greeting", "hello", hello_body(version=0, oldest=1), 2)
bad("hello: oldest above ours, the rest unreadable", "greeting", "hello", u64(MAGIC) + u16(9) + u16(8) + b"\xff" * 9, 2)
bad("hello: version below its own oldest", "greeting", "hello", hello_body(version=1, oldest=2), 2)
bad("hello: another name than the certificate's", "greeting", "hello", hello_body(node="plant-2"), 3)
bad("begin: unknown flags", "running", "begin", u8(2) + u64(7))
bad("begin: a byte too many", "running", "begin", u8(0) + u64(7) + u8(0))
bad("begin: resumes what was never held", "running", "begin", u8(1) + u64(7))
bad("begin: a second one", "receiving", "begin", u8(0) + u64(7))
for kind in ("route", "define", "remove", "changes", "stale_changes", "position", "route_digests", "bucket_digests", "repaired"):
    bad(kind + " before begin", "running", kind, b"")
bad("heartbeat: cut short", "running", "heartbeat", u64(1) + u64(0) + u64(0))
bad("heartbeat: sent at 2^62", "running", "heartbeat", u64(1 << 62) + u64(0) + u64(0) + i64(0))
bad("ack: of what was never sent", "running", "ack", u64(1 << 40))
bad("ack: cut short", "running", "ack", u32(1))
bad("close: cut short", "running", "close", u8(0))
bad("close: text of 1025 bytes", "running", "close", u16(0) + text("x" * 1025))
bad("renew: with a body", "running", "renew", u8(1))
bad("journal_held: cut short", "running", "journal_held", varint(1) + text("plant-1"))
bad("journal_held: 4097 streams", "running", "journal_held", varint(4097), 6)
bad("journal_ack: of what was never sent", "running", "journal_ack", u64(1))
bad("journal: not asked for", "receiving", "journal", b"", 3)
bad("refresh: cut short", "running", "refresh", u8(1))
bad("ask_digests: a byte too many", "running", "ask_digests", u16(1) + u8(1))
bad("ask_repair: 127 bytes of buckets", "running", "ask_repair", u16(1) + b"\xff" * 127)
bad("hops: 4097 of them", "running", "hops", varint(4097))
bad("hops: unknown state", "running", "hops", varint(1) + text("a") + text("b") + text("c") + u8(3) + i64(0) + text("") + varint(0))
bad("hops: fewer than said", "running", "hops", varint(2) + hops_body(HOPS[:1])[1:])
bad("hops: name that is not UTF-8", "running", "hops",
    varint(1) + varint(1) + b"\xff" + text("b") + text("c") + u8(1) + i64(0) + text("") + varint(0))
bad("route: unknown flags", "receiving", "route", u16(2) + u8(16) + text("a") + text("b") + u8(0))
bad("route: 17 hops", "receiving", "route", route_body(2, 0, "a", "b", ["h"] * 17))
bad("route: good overlay", "receiving", "route", route_body(2, 1, "a", "b", ["a"], 0, ("a", "b", 0, "")))
bad("route: overlay cut short", "receiving", "route", route_body(2, 1, "a", "b", ["a"], 0x80310000, ("a", "b", 0, "x"))[:-1])
bad("route: hop that is not UTF-8", "receiving", "route", u16(2) + u8(0) + text("a") + text("b") + u8(1) + varint(1) + b"\xff")
ONE = record(0, "acme/x", meta(), value(11, f64(1)))
bad("define: route never told", "receiving", "define", define_body([ONE | {"route": 9}]))
bad("define: route above 65535", "receiving", "define", define_body([ONE | {"route": 65536}]))
bad("define: id below 0", "receiving", "define", define_body([ONE | {"id": -1}]))
bad("define: id 2^32 - 1", "receiving", "define", define_body([ONE | {"id": 0xFFFFFFFF}]))
bad("define: id beyond [limits] points", "receiving", "define", define_body([ONE | {"id": 0xFFFFFFFE}]), 6)
bad("define: more shared with the last path than it has", "receiving", "define", zigzag(0) + varint(1) + varint(1) + text("x"))
bad("define: path of 1025 bytes", "receiving", "define", define_body([ONE | {"path": "p" * 1025}]))
bad("define: metadata that did not come", "receiving", "define", zigzag(0) + varint(1) + varint(0) + text("x") + varint(1))
bad("define: unknown flags", "receiving", "define",
    zigzag(0) + varint(1) + varint(0) + text("x") + varint(0) + meta_bytes(meta()) + u8(4) + u32(0) + zigzag(0) + u8(0))
bad("define: unknown data type", "receiving", "define", zigzag(0) + varint(1) + varint(0) + text("x") + varint(0) + u8(26) + u8(0) * 2)
bad("define: unknown metadata flags", "receiving", "define", zigzag(0) + varint(1) + varint(0) + text("x") + varint(0) + u8(11) + u8(16))
bad("define: Boolean 2", "receiving", "define", define_body([ONE | {"value": value(1, b"\x02")}]))
bad("define: array of null", "receiving", "define", define_body([ONE])[:-9] + u8(128))
bad("define: value cut short", "receiving", "define", define_body([ONE])[:-1])
bad("remove: more points than bytes", "receiving", "remove", varint(100))
bad("remove: id below 0", "receiving", "remove", varint(1) + zigzag(-1))
bad("changes: cut short in the id", "receiving", "changes", u8(2) + b"\x01\x02")
bad("changes: cut short in a value", "receiving", "changes", u8(0) + b"\0" * 7)
bad("changes: reserved status code", "receiving", "changes", u8(2 << 4) + f64(1))
bad("changes: reserved value code", "receiving", "changes", u8(3 << 6) + f64(1))
bad("changes: type 26", "receiving", "changes", u8(1 << 6) + u8(26) + f64(1))
bad("changes: type null", "receiving", "changes", u8(1 << 6) + u8(0))
bad("changes: Boolean 2", "receiving", "changes", u8(1 << 6) + u8(1) + u8(2))
bad("changes: value above 16 MiB", "receiving", "changes", u8(1 << 6) + u8(12) + varint((1 << 24) + 1))
bad("changes: string longer than the frame", "receiving", "changes", u8(1 << 6) + u8(12) + varint(5) + b"abcd")
bad("changes: array whose dimensions do not fit its bytes", "receiving", "changes",
    u8(1 << 6) + u8(11 | 128) + varint(10) + varint(1) + varint(2) + f64(1))
bad("stale_changes: reserved value code", "receiving", "stale_changes", u8(3 << 6))
bad("position: unknown flags", "receiving", "position", u8(8) + varint(1) + varint(1))
bad("position: varint of 11 bytes", "receiving", "position", u8(0) + b"\xff" * 10 + u8(1) + varint(1))
bad("position: caught up without a digest", "receiving", "position", u8(2) + varint(1) + varint(1))
bad("route_digests: routes that do not ascend", "receiving", "route_digests", (u16(2) + u64(1) + u64(1)) * 2)
bad("route_digests: half an entry", "receiving", "route_digests", u16(1) + u64(1))
bad("bucket_digests: 1023 of them", "receiving", "bucket_digests", u16(1) + u64(0) * 1023)
bad("repaired: a byte too many", "receiving", "repaired", u16(1) + bits([]) + u8(0))

# --- Versions ------------------------------------------------------------------------------------------------------------
VERSIONS = [
    {"name": "version 2 that still speaks 1, with fields this page does not know", "close": None,
     "frame": hexed(frame("hello", hello_body(version=2, oldest=1) + bytes(range(40))))},
    {"name": "version 65535 that still speaks 1", "close": None, "frame": hexed(frame("hello", hello_body(version=65535)))},
    {"name": "version 2 that speaks nothing older", "close": 2, "frame": hexed(frame("hello", hello_body(version=2, oldest=2)))},
    {"name": "version 0", "close": 2, "frame": hexed(frame("hello", hello_body(version=0, oldest=0)))},
]


def one_per_line(items): return "[\n" + ",\n".join("  " + json.dumps(i, ensure_ascii=False) for i in items) + "\n]"


print('{"about": "Written by make_vectors.py after docs/protocol.md. Numbers are as on the page; what is opaque is in hex.",')
for key, items in (("messages", VECTORS), ("refused", MALFORMED), ("versions", VERSIONS)):
    print(f'"{key}": {one_per_line(items)}' + ("" if key == "versions" else ","))
print("}")
