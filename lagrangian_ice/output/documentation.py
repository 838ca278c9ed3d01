"""The tables of variables as CDL and Markdown, for ``products/`` and ``docs/formats.md``."""

from __future__ import annotations

from pathlib import Path

from lagrangian_ice.grid import crs_attributes
from lagrangian_ice.output.variables import PRODUCTS, Product, Value, Variable

_CDL_TYPES = {
    "f8": "double",
    "f4": "float",
    "i8": "int64",
    "i4": "int",
    "i2": "short",
    "i1": "byte",
    "S1": "char",
}
_CDL_SUFFIX = {"f4": "f", "i8": "ll", "i2": "s", "i1": "b"}
_FIXED = {"three": 3}


def cdl(product: Product) -> str:
    """CDL header of a product; lengths that depend on the data are written as 1."""
    lines = [f"netcdf lagrangian_ice_{product.key} {{", "dimensions:"]
    lines += [f"\t{name} = {_FIXED.get(name, 1)} ;" for name in dimensions(product)]
    lines += ["variables:"]
    for variable in product.variables:
        where = f"({', '.join(variable.dimensions)})" if variable.dimensions else ""
        lines += [f"\t{_CDL_TYPES[variable.dtype]} {variable.name}{where} ;"]
        lines += [f"\t\t{variable.name}:{text} ;" for text in _attributes(variable)]
    lines += ["", "// global attributes (others from settings and data):"]
    fixed = {"Conventions": product.conventions, "featureType": product.feature_type}
    fixed |= {"title": product.title, "summary": product.summary, "comment": product.comment}
    lines += [f"\t\t:{key} = {_quoted(value)} ;" for key, value in fixed.items() if value]
    return "\n".join([*lines, "}", ""])


def dimensions(product: Product) -> list[str]:
    """Names of the dimensions in the order in which variables first use them."""
    names = (name for variable in product.variables for name in variable.dimensions)
    return list(dict.fromkeys(names))


def markdown(product: Product) -> str:
    """Table of the variables of a product."""
    lines = [
        "| variable | type | dimensions | units | what it is |",
        "|---|---|---|---|---|",
    ]
    for variable in product.variables:
        what = variable.long_name
        if variable.standard_name:
            what += f" (`{variable.standard_name}`)"
        what += f". {variable.comment}" if variable.comment else "."
        if variable.flags is not None:
            values = ", ".join(f"{int(flag)} {str(flag.name).lower()}" for flag in variable.flags)
            what += f" Values: {values}."
        where = ", ".join(name for name in variable.dimensions if not name.endswith("_length"))
        kind = "text" if variable.dtype == "S1" else _CDL_TYPES[variable.dtype]
        what = what[0].upper() + what[1:]
        lines.append(f"| `{variable.name}` | {kind} | {where} | {variable.units} | {what} |")
    return "\n".join([*lines, ""])


def with_tables(text: str) -> str:
    """Page with the table of each product put between its two marks.

    Raises
    ------
    ValueError
        If the page lacks a mark.
    """
    for product in PRODUCTS:
        begin, end = f"<!-- {product.key} table -->\n", f"<!-- end of {product.key} table -->"
        if begin not in text or end not in text:
            raise ValueError(f"the page lacks the marks {begin.strip()} and {end}")
        before, rest = text.split(begin, 1)
        _, after = rest.split(end, 1)
        text = f"{before}{begin}{markdown(product)}{end}{after}"
    return text


def refresh(root: Path) -> None:
    """Rewrite ``products/*.cdl`` and the tables of ``docs/formats.md`` in a checkout."""
    for product in PRODUCTS:
        path = root / "products" / f"{product.key}.cdl"
        path.write_text(cdl(product), encoding="utf-8")
    page = root / "docs" / "formats.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def _attributes(variable: Variable) -> list[str]:
    found: dict[str, Value] = dict(variable.attributes)
    if variable.fill is not None:
        found = {"_FillValue": variable.fill, **found}
    if variable.name == "crs":
        # the WKT's wording differs between versions of PROJ
        known = crs_attributes().items()
        found |= {key: value for key, value in known if key != "crs_wkt"}
    return [f"{key} = {_value(variable, key, value)}" for key, value in found.items()]


def _value(variable: Variable, key: str, value: Value) -> str:
    if isinstance(value, str):
        return _quoted(value)
    own = key in {"_FillValue", "flag_values", "flag_masks"}
    suffix = _CDL_SUFFIX.get(variable.dtype, "") if own else ""
    values = value if isinstance(value, list) else [value]
    texts = (f"{number:g}" if number != number else repr(number) for number in values)
    return ", ".join(f"{'NaN' if text == 'nan' else text}{suffix}" for text in texts)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
