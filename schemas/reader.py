#!/usr/bin/env python3
"""Reads the log of OpenMusic as docs/log-format.md describes it. Rule and decoding need only the standard library:

    pip install confluent-kafka                                  # Python 3.10 or newer
    python3 schemas/reader.py localhost:9092                      # the accepted records of all event topics
    python3 schemas/reader.py localhost:9092 --all --topics openmusic.catalog
    python3 schemas/reader.py localhost:9092 --no-transactions    # stricter, where no stranger writes transactions

Prints one JSON object for each record. Ends with 1 when a partition has stopped.
"""

import argparse
import json
import re
import struct
import sys
import unicodedata
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

FOLDER = Path(__file__).parent
RULE_VERSION = 2


# ── What stands in a partition ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Entry:
    """What stands at consecutive offsets: a record, or a blank of kind `control`, `unreadable` or `missing`."""

    offset: int
    last: int
    kind: str = "record"
    key: bytes = b""
    value: bytes = b""
    headers: dict = field(default_factory=dict)


def record(offset, key, value, headers):
    """Pairs of headers as they were read. Null is empty; a name that stands twice has its values joined by NUL."""
    joined = {}
    for name, data in headers or []:
        text = as_text(data)
        joined[name] = joined[name] + b"\0" + text if name in joined else text
    return Entry(offset, offset, "record", as_text(key), value or b"", joined)


def as_text(data):
    """UTF-8, in which bytes that are not UTF-8 have become U+FFFD."""
    return (data or b"").decode("utf-8", "replace").encode()


def with_missing(entries):
    """The same entries, with a blank in every gap."""
    expected = 0
    for entry in entries:
        if entry.offset > expected:
            yield Entry(expected, entry.offset - 1, "missing")
        yield entry
        expected = entry.last + 1


# ── Headers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def matches(form):
    return lambda value, key: re.fullmatch(form, value, re.ASCII | re.DOTALL) is not None


def is_stream(value, key):
    controls = any(unicodedata.category(letter) == "Cc" for letter in value)
    return value == key and 1 <= len(value.encode()) <= 255 and not controls


def is_time(value, key):
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", value):
        return False
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").year >= 1970 and value[17:19] < "60"
    except ValueError:
        return False


def is_version(value, key):
    return re.fullmatch(r"[1-9][0-9]{0,9}", value) is not None and int(value) <= 2147483647


is_text = matches(r"[^\0]+")
HEADERS = {
    "ce_specversion": matches(r"1\.0"),
    "ce_id": matches(UUID),
    "ce_source": is_text,
    "ce_type": matches(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"),
    "ce_subject": is_stream,
    "ce_time": is_time,
    "ce_streamversion": is_version,
    "ce_prev": matches(f"({UUID})?"),
    "ce_commandid": matches(UUID),
    "ce_actor": is_text,
    "ce_correlationid": is_text,
    "ce_causationid": is_text,
    "ce_bodyhash": matches(r"[^\0]*"),
    "content-type": matches(r"application/avro"),
}


def crc(data):
    return f"{zlib.crc32(data):08x}"


def header_sum(entry):
    parts = [name.encode() + b"\0" + entry.headers[name] + b"\0" for name in sorted(HEADERS) if name in entry.headers]
    return crc(entry.key + b"".join(parts))


def is_well_formed(entry):
    key = entry.key.decode()
    return all(name in entry.headers and form(entry.headers[name].decode(), key) for name, form in HEADERS.items())


# ── Placement ───────────────────────────────────────────────────────────────────────────────────────────────────────

CATEGORIES = {"catalog": ("album", "song"), "playlists": ("playlist",), "likes": ("like",), "jobs": ("job",)}


def murmur2(data):
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    whole = len(data) & ~3
    h = 0x9747B28C ^ len(data)
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(stream, partitions):
    liked = re.match(r"like-(.+)-user-", stream, re.DOTALL)
    return (murmur2((liked.group(1) if liked else stream).encode()) & 0x7FFFFFFF) % partitions


def belongs(stream, topic, partition, partitions):
    if stream == f"genesis-{topic}-{partition}":
        return True
    category = stream.partition("-")[0] if "-" in stream else stream
    is_of_topic = category in CATEGORIES.get(topic.rpartition(".")[2], ())
    return is_of_topic and partition_of(stream, partitions) == partition


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Undecodable(Exception):
    """The argument is one of `checksum`, `frame`, `schema`, `type` and `avro`."""


SCHEMAS = {}
for line in json.loads((FOLDER / "lock.json").read_text()):
    name = line["subject"].removeprefix("openmusic.")
    schema = json.loads((FOLDER / f"{name}.v{line['version']}.avsc").read_text())
    SCHEMAS[line["id"]] = (line["subject"], schema)


def payload_of(entry):
    """What an accepted record says. Its checksum comes first: some Avro libraries crash on corrupt lengths."""
    if entry.headers["ce_checksum"][:8].decode() != crc(entry.value):
        raise Undecodable("checksum")
    return decode(entry.headers["ce_type"].decode(), entry.value)


def decode(subject, value):
    if len(value) < 5 or value[0] != 0:
        raise Undecodable("frame")
    found, schema = SCHEMAS.get(int.from_bytes(value[1:5], "big"), (None, None))
    if found is None:
        raise Undecodable("schema")
    if found != subject:
        raise Undecodable("type")
    avro = Avro(value[5:])
    try:
        payload = avro.read(schema, {})
    except (IndexError, KeyError, ValueError, OverflowError):
        raise Undecodable("avro") from None
    if avro.at != len(avro.data):
        raise Undecodable("avro")
    return payload


class Avro:
    """As much of Avro's binary encoding as the schemas use. Times become texts in ISO 8601."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("bytes are missing")
        self.at += count
        return self.data[self.at - count : self.at]

    def long(self):
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            if shift > 63:
                raise ValueError("a number is too long")

    def read(self, schema, named):
        if isinstance(schema, list):
            branch = self.long()
            if not 0 <= branch < len(schema):
                raise ValueError("there is no such branch")
            return self.read(schema[branch], named)
        if isinstance(schema, str):
            return self.read(named[schema], named) if schema in named else self.primitive(schema)
        if schema["type"] == "record":
            named[schema["name"]] = schema
            return {each["name"]: self.read(each["type"], named) for each in schema["fields"]}
        if schema["type"] == "array":
            return list(self.items(schema["items"], named))
        if schema.get("logicalType") == "timestamp-millis":
            return iso(self.long())
        return self.read(schema["type"], named)

    def items(self, schema, named):
        while (count := self.long()) != 0:
            if count < 0:
                self.long()  # the length of the block
            for _ in range(abs(count)):
                yield self.read(schema, named)

    def primitive(self, name):
        if name == "null":
            return None
        if name == "boolean":
            return self.take(1)[0] != 0
        if name in ("int", "long"):
            return self.long()
        if name == "string":
            return self.take(self.long()).decode("utf-8", "replace")
        raise ValueError(f"{name} is not used")


def iso(ms):
    time = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


# ── Voids ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def void_in(value, incarnation):
    """(topic, partition, first offset, last offset); nothing for a record that declares none for this log."""
    try:
        void = decode("openmusic.PositionVoided", value or b"")
    except Undecodable:
        return None
    if void["incarnation"] != incarnation or void["lastOffset"] < void["offset"]:
        return None
    return void["topic"], void["partition"], void["offset"], void["lastOffset"]


def spans_of(voids, topic, partition):
    return sorted(span for *where, first, last in voids for span in [(first, last)] if where == [topic, partition])


def is_void(entry, spans):
    """Whether all of its offsets are void; several voids can cover them together."""
    expected = entry.offset
    for first, last in spans:
        if first > expected:
            break
        expected = max(expected, last + 1)
    return expected > entry.last


# ── The rule ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Verdict:
    entry: Entry
    verdict: str  # accepted, loser or stop
    reason: str | None = None  # void, control, foreign, lost; corrupt, unreadable, missing


def judge(topic, partition, partitions, entries, spans=()):
    """Judges what stands in ONE partition, from offset 0 and in order. Nothing comes after a stop."""
    heads = {}
    for entry in with_missing(entries):
        verdict = classify(entry, topic, partition, partitions, spans)
        if verdict.verdict == "accepted":
            verdict = arbitrate(entry, heads)
        yield verdict
        if verdict.verdict == "stop":
            return


def classify(entry, topic, partition, partitions, spans):
    """What can be said before any head is looked at; a claim that may win counts as accepted."""
    if is_void(entry, spans):
        return Verdict(entry, "loser", "void")
    if entry.kind == "control":
        return Verdict(entry, "loser", "control")
    if entry.kind != "record":
        return Verdict(entry, "stop", entry.kind)
    checksum = entry.headers.get("ce_checksum")
    if checksum is None:
        return Verdict(entry, "loser", "foreign")
    if not re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{8}", checksum) or checksum[9:].decode() != header_sum(entry):
        return Verdict(entry, "stop", "corrupt")
    if not is_well_formed(entry) or not belongs(entry.key.decode(), topic, partition, partitions):
        return Verdict(entry, "loser", "foreign")
    return Verdict(entry, "accepted")


def arbitrate(entry, heads):
    version, previous = int(entry.headers["ce_streamversion"]), entry.headers["ce_prev"]
    head_version, head_id = heads.get(entry.key, (0, b""))
    if version != head_version + 1 or previous != head_id:
        return Verdict(entry, "loser", "lost")
    heads[entry.key] = (version, entry.headers["ce_id"])
    return Verdict(entry, "accepted")


def opening(entry, topic, partition):
    """What a partition's first record says of the log; nothing when this reader must not judge it."""
    headers = {name: value.decode() for name, value in entry.headers.items()}
    stream = f"genesis-{topic}-{partition}"
    checksum = headers.get("ce_checksum", "")
    if entry.kind != "record" or entry.offset != 0 or checksum[9:] != header_sum(entry) or not is_well_formed(entry):
        return None
    claim = [headers[name] for name in ("ce_subject", "ce_type", "ce_streamversion", "ce_prev")]
    if claim != [stream, "openmusic.PartitionOpened", "1", ""]:
        return None
    try:
        opened = payload_of(entry)
    except Undecodable:
        return None
    is_here = (opened["topic"], opened["partition"]) == (topic, partition)
    return opened if is_here and opened["ruleVersion"] == RULE_VERSION else None


def as_json(topic, partition, verdict):
    entry = verdict.entry
    line = {"topic": topic, "partition": partition, "offset": entry.offset, "verdict": verdict.verdict}
    if entry.last != entry.offset:
        line["lastOffset"] = entry.last
    if verdict.reason:
        line["reason"] = verdict.reason
    if verdict.verdict == "accepted":
        named = {"stream": "ce_subject", "version": "ce_streamversion", "id": "ce_id", "type": "ce_type"}
        line.update((key, entry.headers[name].decode()) for key, name in named.items())
        try:
            line["payload"] = payload_of(entry)
        except Undecodable as reason:
            line["undecodable"] = str(reason)
    return line


# ── Kafka ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Log:
    """Reads partitions by librdkafka, which shows no markers: of a jump of offsets it cannot tell what was there."""

    def __init__(self, brokers, jump="control"):
        from confluent_kafka import Consumer

        self.jump = jump
        settings = {"bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False}
        read_all = {"isolation.level": "read_uncommitted", "enable.partition.eof": True, "check.crcs": True, "fetch.wait.max.ms": 20}
        self.consumer = Consumer({**settings, **read_all, "auto.offset.reset": "error"})

    def topics(self):
        return {name: len(topic.partitions) for name, topic in self.consumer.list_topics().topics.items()}

    def entries(self, topic, partition, spans=()):
        """Up to where the partition ends, without what is void. A jump is taken for what `jump` says."""
        from confluent_kafka import TopicPartition

        where = TopicPartition(topic, partition)
        expected, self.end = self.consumer.get_watermark_offsets(where, timeout=30)
        for first, last in [*spans, (None, None)]:
            yield from self.run(TopicPartition(topic, partition, expected), first)
            if first is None:
                return
            if last >= expected:
                yield Entry(max(first, expected), last, "missing")
                expected = last + 1

    def run(self, start, stop):
        """From an offset on, up to where a void begins, or to the end."""
        from confluent_kafka import KafkaError

        end_of_partition, unreadable = KafkaError._PARTITION_EOF, (KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION)
        expected = start.offset
        if expected >= (self.end if stop is None else stop):
            return
        self.consumer.assign([start])
        while (message := self.consumer.poll(30)) is not None:
            error, at = message.error(), message.offset()
            if error and error.code() == end_of_partition:
                return
            if error and error.code() not in unreadable:
                print(error, file=sys.stderr)  # of a broker; the client tries again by itself
                continue
            reached = at if stop is None else min(at, stop)
            if reached > expected:
                yield Entry(expected, reached - 1, self.jump)
            if reached == stop:
                return
            if error:
                yield Entry(at, at, "unreadable")
                return
            expected = at + 1
            yield record(at, message.key(), message.value(), message.headers())
            if expected >= self.end:
                return
        self.consumer.get_watermark_offsets(start, timeout=30)  # raises when no broker answers
        yield Entry(expected, (self.end if stop is None else stop) - 1, "missing")

    def voids(self, namespace, incarnation):
        """Of the compacted topic, to its end. Its gaps mean nothing."""
        topic = f"{namespace}.voids"
        for partition in range(self.topics().get(topic, 0)):
            for entry in self.entries(topic, partition):
                void = void_in(entry.value, incarnation)
                if void:
                    yield void


def read_log(brokers, namespace, topics, jump):
    log = Log(brokers, jump)
    voids = None
    for topic in topics or [f"{namespace}.{name}" for name in CATEGORIES]:
        first = next(log.entries(topic, 0), None)
        opened = first and opening(first, topic, 0)
        if not opened:
            raise SystemExit(f"{topic}/0 does not begin as this reader expects")
        if voids is None:
            voids = list(log.voids(namespace, opened["incarnation"]))
        for partition in range(opened["partitions"]):
            spans = spans_of(voids, topic, partition)
            for verdict in judge(topic, partition, opened["partitions"], log.entries(topic, partition, spans), spans):
                yield as_json(topic, partition, verdict)


def main():
    parser = argparse.ArgumentParser(description="Prints the accepted records of an OpenMusic log.")
    parser.add_argument("brokers")
    parser.add_argument("--namespace", default="openmusic")
    parser.add_argument("--topics", nargs="*", help="full names; all event topics if not given")
    parser.add_argument("--all", action="store_true", help="print losers too")
    parser.add_argument("--no-transactions", action="store_true", help="no client uses them here: a jump of offsets is a gap")
    options = parser.parse_args()
    jump = "missing" if options.no_transactions else "control"
    stopped = False
    for line in read_log(options.brokers, options.namespace, options.topics, jump):
        stopped = stopped or line["verdict"] == "stop"
        if options.all or line["verdict"] != "loser":
            print(json.dumps(line, ensure_ascii=False), flush=True)
    sys.exit(1 if stopped else 0)


if __name__ == "__main__":
    main()
