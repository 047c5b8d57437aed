"""Reads OTLP requests without our encoder: protobuf by protoc, JSON by json.

Both give the same list of spans: a dict each, ids in hex, attributes as a
dict, the resource's attributes under "resource".
"""
import json
import os
import re
import subprocess

PROTO = os.path.join(
    os.environ.get("top_srcdir")
    or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."),
    "tests/proto")
LINE = re.compile(r'^\s*(?:(\w+) \{|(\})|(\w+): (.*))$')
ESCAPE = re.compile(rb'\\([0-7]{3}|.)', re.S)
PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def protoc(action, message, data):
    done = subprocess.run(
        ["protoc", "-I", PROTO, f"--{action}=rowhouse.tests.otlp.{message}",
         "otlp_trace.proto"],
        input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        check=False)
    if done.returncode:
        raise ValueError(done.stderr.decode())
    return done.stdout


def unescape(text):
    def one(match):
        code = match.group(1)
        return bytes([int(code, 8)]) if len(code) == 3 else \
            PLAIN.get(code, code)
    return ESCAPE.sub(one, text.encode())


def read_text(text):
    """protoc's text format as {field: [value, ...]}, nested."""
    top = {}
    stack = [top]
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            raise ValueError(f"not a line of text format: {line!r}")
        opened, closed, name, value = match.groups()
        if (opened or name or "").isdigit():
            raise ValueError(f"a field that OTLP has not: {line!r}")
        if opened:
            child = {}
            stack[-1].setdefault(opened, []).append(child)
            stack.append(child)
        elif closed:
            stack.pop()
        else:
            stack[-1].setdefault(name, []).append(
                unescape(value[1:-1]) if value.startswith('"') else value)
    return top


def last(message, field, default):
    return message[field][-1] if field in message else default


def text_attributes(message):
    found = {}
    for pair in message.get("attributes", []):
        key = last(pair, "key", b"").decode()
        if key in found:
            raise ValueError(f"attribute twice: {key}")
        value = last(pair, "value", {})
        if "string_value" in value:
            found[key] = value["string_value"][-1].decode()
        elif "int_value" in value:
            found[key] = int(value["int_value"][-1])
        else:
            raise ValueError(f"attribute of an unexpected type: {pair}")
    return found


def text_event(event):
    return {"name": last(event, "name", b"").decode(),
            "time": int(last(event, "time_unix_nano", 0)),
            "attributes": text_attributes(event)}


def text_link(link):
    return {"trace_id": last(link, "trace_id", b"").hex(),
            "span_id": last(link, "span_id", b"").hex(),
            "flags": int(last(link, "flags", 0))}


def text_span(span, resource):
    status = last(span, "status", {})
    return {
        "trace_id": last(span, "trace_id", b"").hex(),
        "span_id": last(span, "span_id", b"").hex(),
        "parent_span_id": last(span, "parent_span_id", b"").hex(),
        "trace_state": last(span, "trace_state", b"").decode(),
        "name": last(span, "name", b"").decode(),
        "kind": int(last(span, "kind", 0)),
        "start": int(last(span, "start_time_unix_nano", 0)),
        "end": int(last(span, "end_time_unix_nano", 0)),
        "attributes": text_attributes(span),
        "dropped_attributes": int(last(span, "dropped_attributes_count", 0)),
        "status": int(last(status, "code", 0)),
        "message": last(status, "message", b"").decode(),
        "events": [text_event(event) for event in span.get("events", [])],
        "links": [text_link(link) for link in span.get("links", [])],
        "flags": int(last(span, "flags", 0)),
        "resource": resource,
    }


def spans_of_protobuf(data):
    request = read_text(protoc("decode", "Request", data).decode())
    return [text_span(span, text_attributes(last(group, "resource", {})))
            for group in request.get("resource_spans", [])
            for scope in group.get("scope_spans", [])
            for span in scope.get("spans", [])]


def json_attributes(message):
    found = {}
    for pair in message.get("attributes", []):
        if pair["key"] in found:
            raise ValueError(f"attribute twice: {pair['key']}")
        (kind, value), = pair["value"].items()
        if kind == "intValue" and isinstance(value, str):
            value = int(value)
        elif kind != "stringValue" or not isinstance(value, str):
            raise ValueError(f"attribute of an unexpected type: {pair}")
        found[pair["key"]] = value
    return found


def json_event(event):
    return {"name": event["name"], "time": int(event["timeUnixNano"]),
            "attributes": json_attributes(event)}


def json_link(link):
    return {"trace_id": link["traceId"], "span_id": link["spanId"],
            "flags": link["flags"]}


def json_span(span, resource):
    for time in ("startTimeUnixNano", "endTimeUnixNano"):
        if not isinstance(span[time], str):
            raise ValueError("64-bit numbers are strings in JSON")
    if not isinstance(span["kind"], int):
        raise ValueError("enums are numbers in JSON")
    status = span.get("status", {})
    return {
        "trace_id": span["traceId"],
        "span_id": span["spanId"],
        "parent_span_id": span.get("parentSpanId", ""),
        "trace_state": span.get("traceState", ""),
        "name": span["name"],
        "kind": span["kind"],
        "start": int(span["startTimeUnixNano"]),
        "end": int(span["endTimeUnixNano"]),
        "attributes": json_attributes(span),
        "dropped_attributes": span.get("droppedAttributesCount", 0),
        "status": status.get("code", 0),
        "message": status.get("message", ""),
        "events": [json_event(event) for event in span.get("events", [])],
        "links": [json_link(link) for link in span.get("links", [])],
        "flags": span.get("flags", 0),
        "resource": resource,
    }


def spans_of_json(data):
    return [json_span(span, json_attributes(group["resource"]))
            for group in json.loads(data)["resourceSpans"]
            for scope in group["scopeSpans"]
            for span in scope["spans"]]


def partial_success(content_type, rejected, message):
    if content_type == "application/json":
        return json.dumps({"partialSuccess": {
            "rejectedSpans": str(rejected), "errorMessage": message}}).encode()
    return protoc("encode", "Response", (
        f"partial_success {{ rejected_spans: {rejected}"
        f" error_message: {json.dumps(message)} }}").encode())
