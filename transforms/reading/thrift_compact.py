"""Thrift's compact protocol, as far as Parquet uses it: bytes -> structs as dicts by field number.

15 02 25 04 00   ->   {1: 1, 3: 2}
| |  | |  end         15: one field further, an i32; 02: 1 as a zigzag varint
| |  two fields further, an i32: 2
"""

from typing import Any

_MAX_DEPTH = 16
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET = range(1, 11)
_STRUCT = 12

Struct = dict[int, Any]


def read_struct(data: bytes, at: int, depth: int = 0) -> tuple[Struct, int]:
    """The fields of the struct that begins at `at`, and where it ends.

    Time and memory: linear in the bytes, whatever sizes they claim.

    Raises:
        IndexError: it goes on beyond the end of the data.
        ValueError: it is no such struct.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("structs are nested too deep")
    fields: Struct = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        kind = head & 15
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _read_value(data, at, kind, depth)
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_I16, _I32, _I64):
        return _read_integer(data, at)
    if kind == _BINARY:
        size, at = _read_varint(data, at)
        return _take(data, at, size)
    if kind == _STRUCT:
        return read_struct(data, at, depth + 1)
    if kind in (_LIST, _SET):
        return _read_list(data, at, depth)
    if kind == _DOUBLE:
        return _take(data, at, 8)
    if kind in (_TRUE, _FALSE, _BYTE):  # in a list a boolean has a byte too
        return data[at], at + 1
    raise ValueError(f"a field of type {kind}")


def _read_list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > _MAX_DEPTH:
        raise ValueError("lists are nested too deep")
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == 15:
        size, at = _read_varint(data, at)
    if size > len(data):
        raise IndexError("a list has more elements than there are bytes")
    values = []
    for _ in range(size):
        value, at = _read_value(data, at, kind, depth + 1)
        values.append(value)
    return values, at


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if size > len(data) - at:
        raise IndexError("a value has more bytes than there are")
    return data[at : at + size], at + size


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("an integer has more than 64 bits")
