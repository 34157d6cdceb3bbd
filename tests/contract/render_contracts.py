"""What stands in `docs/contracts/`: a JSON Schema for each contract, the AsyncAPI document, and a page of it."""

from tests.contract import asyncapi, contract_page
from tests.contract.published import FOLDER, schemas, text_of


def files() -> dict[str, str]:
    """All that is published, by file name."""
    made = {f"{name}.json": text_of(schema) for name, schema in schemas().items()}
    document = asyncapi.document()
    return {**made, "asyncapi.json": text_of(document), "index.html": contract_page.page(document)}


def write() -> None:
    """Write all of it; what is no contract any more goes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in FOLDER.iterdir():
        if path.is_file() and path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
