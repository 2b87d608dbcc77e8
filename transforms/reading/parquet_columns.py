"""Columns of a Parquet file: which are meant by the settings, and their values as strings."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.errors import ConfigurationError
from transforms.reading.formats import ReadSettings, printable

ColumnPath = tuple[str, ...]


def find_column(schema: pa.Schema, path: str) -> ColumnPath | None:
    """The names to go down by; None if there is no such column. A name with dots in it wins."""
    if path in schema.names:
        return (path,)
    names = tuple(path.split("."))
    fields = schema
    for name in names:
        if not isinstance(fields, (pa.Schema, pa.StructType)) or name not in fields.names:
            return None
        fields = fields.field(name).type
    return names


def find_name_column(schema: pa.Schema, path: str) -> ColumnPath | None:
    """The column of ids or URLs; None if there is none, or it has no text form: a list, a struct.

    A list is not even read: what a row of it comes to has no bound.
    """
    names = find_column(schema, path)
    return None if names is None or pa.types.is_nested(_type_of(schema, names)) else names


def find_text_column(schema: pa.Schema, settings: ReadSettings, path: str) -> ColumnPath:
    """The column of texts.

    Raises:
        ConfigurationError: there is none of that name, there are two, or it holds no text.
    """
    names = find_column(schema, settings.text_field)
    if names is None:
        found = "there is none"
    elif schema.names.count(names[0]) > 1:
        found = f"{schema.names.count(names[0])} of that name"
    elif holds_text(_type_of(schema, names)) or pa.types.is_null(_type_of(schema, names)):
        return names
    else:
        found = str(_type_of(schema, names))
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise ConfigurationError(
        f"{printable(path)}: expected a column of strings named {settings.text_field!r}, which is "
        f"the text_field; found: {found}. The columns are: {printable(columns)}"
    )


def _type_of(schema: pa.Schema, names: ColumnPath) -> pa.DataType:
    kind = schema.field(names[0]).type
    for name in names[1:]:
        kind = kind.field(name).type
    return kind


def holds_text(kind: pa.DataType) -> bool:
    """Whether values of a type are strings, or bytes that may be."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
        )
    )


def take_column(table: pa.RecordBatch, names: ColumnPath) -> pa.Array:
    """The values of a column; null where a struct on the way to it is."""
    column = table.column(names[0])
    for name in names[1:]:
        column = pc.struct_field(column, [name])
    return column


def as_text(column: pa.Array) -> pa.Array:
    """The same bytes as a StringArray or LargeStringArray; whether they are UTF-8 is unchecked."""
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_large_binary(column.type):
        return column.view(pa.large_string())
    return column.view(pa.string()) if pa.types.is_binary(column.type) else column


def as_name(column: pa.Array) -> pa.Array:
    """An id or URL as a StringArray; bytes of a fixed size, such as a UUID, as hexadecimal digits.

    Null where its type has no text form.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_fixed_size_binary(column.type):
        values = column.to_pylist()
        return pa.array([value if value is None else value.hex() for value in values], pa.string())
    if holds_text(column.type):
        return _narrow(as_text(column))
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.nulls(len(column), pa.string())


def _narrow(text: pa.Array) -> pa.Array:
    if pa.types.is_string(text.type):
        return text
    return text.view(pa.large_binary()).cast(pa.binary()).view(pa.string())


def at_offset_zero(column: pa.Array) -> pa.Array:
    """The same array, not a slice of a longer one."""
    return column.take(pa.array(np.arange(len(column)))) if column.offset else column
