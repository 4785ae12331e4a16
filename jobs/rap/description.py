"""The OpenAPI document as the page for people shows it: rows and sentences, so that the template decides nothing."""

import json
from collections.abc import Iterator, Mapping

_NAME_OF = {"text/plain": "text", "text/html": "a page"}


def described(document: Mapping) -> dict:
    """What templates/rap/docs.html needs: the introduction, every operation and every schema."""
    return {
        "info": document["info"],
        "server": document["servers"][0],
        "tokens": document["components"]["securitySchemes"].values(),
        "operations": list(_operations(document)),
        "schemas": [_schema(name, schema) for name, schema in document["components"]["schemas"].items()],
    }


def _operations(document: Mapping) -> Iterator[dict]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"].items()
            yield {
                "method": method.upper(),
                "path": document["servers"][0]["url"] + path,
                "summary": operation["summary"],
                "description": operation["description"],
                "id": operation["operationId"],
                "needs_token": operation.get("security") != [],
                "body": _content(operation["requestBody"]) if "requestBody" in operation else None,
                "answers": [{"status": status, **_content(_found(document, answer))} for status, answer in answers],
            }


def _found(document: Mapping, answer: Mapping) -> Mapping:
    name = answer.get("$ref", "").rpartition("/")[2]
    return document["components"]["responses"][name] if name else answer


def _content(message: Mapping) -> dict:
    """What a body or an answer is: its description, the schemas (or kinds) that it may have, and examples."""
    examples: list[dict] = []
    schemas, kinds = [], []
    for kind, content in message.get("content", {}).items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        schemas += [name] if name else []
        kinds += [] if name else [_NAME_OF.get(kind, kind)]
        if "example" in content:
            examples.append({"name": "", "text": _pretty(content["example"])})
        examples += [
            {"name": name, "text": _pretty(each["value"])} for name, each in content.get("examples", {}).items()
        ]
    return {"description": message["description"], "schemas": schemas, "kinds": kinds, "examples": examples}


def _schema(name: str, schema: Mapping) -> dict:
    return {"name": name, "description": schema["description"], "rows": list(_rows(schema))}


def _rows(schema: Mapping, prefix: str = "") -> Iterator[dict]:
    """One row for each key, and below it one for each key inside it."""
    for name, inner in schema["properties"].items():
        yield {
            "name": prefix + name,
            "kind": _kind(inner),
            "is_needed": name in schema.get("required", ()),
            "description": inner.get("description", ""),
            "schema": _reference(inner),
        }
        if "properties" in inner:
            yield from _rows(inner, f"{prefix}{name}.")


def _reference(schema: Mapping) -> str:
    return schema.get("items", {}).get("$ref", "").rpartition("/")[2]


def _kind(schema: Mapping) -> str:
    """ "string of 1 to 255 characters", "array of at most 100: one of a, b", "string or null"."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    said = [" or ".join(types)]
    bounds = (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items"), ("minimum", "maximum", ""))
    for least, most, unit in bounds:
        least, most = schema.get(least), schema.get(most)
        if least is not None or most is not None:
            said.append(" ".join(filter(None, [_range(least, most), unit])))
    if "pattern" in schema:
        said.append(f"pattern {schema['pattern']}")
    if "enum" in schema:
        said.append(f"one of {', '.join('null' if each is None else str(each) for each in schema['enum'])}")
    if "type" in schema.get("items", {}):
        said.append(f"each {_kind(schema['items'])}")
    return ", ".join(said)


def _range(least: int | None, most: int | None) -> str:
    if most is None:
        return f"at least {least:,}"
    return f"at most {most:,}" if not least else f"{least:,} to {most:,}"


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
