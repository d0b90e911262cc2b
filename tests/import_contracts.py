"""A contract for import-linter: no two files import each other in a circle, inside functions or out of them.

Its own contract on circles looks at packages; a part may import the page of a lower topic of its level, and that page parts of
its own, so packages go round in circles where files do not.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from importlinter import Contract, ContractCheck, fields, output
from importlinter.application import contract_utils

if TYPE_CHECKING:
    import grimp


def circle(graph: grimp.ImportGraph) -> list[str]:
    """One circle of files that import each other, its first one again at the end; empty where there is none."""
    imports = {name: graph.find_modules_directly_imported_by(name) - {name} for name in sorted(graph.modules)}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


class AcyclicFiles(Contract):
    """Broken by a circle of imports; `ignore_imports` as in import-linter's own contracts."""

    ignore_imports: Any = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        removed = contract_utils.remove_ignored_imports_and_report(
            graph=graph,
            ignore_imports=self.ignore_imports,
            unmatched_alerting=contract_utils.AlertLevel.WARN,  # type: ignore[arg-type]
        )
        found = circle(graph)
        return ContractCheck(
            kept=not found,
            warnings=list(removed.warnings),
            ignored_import_count=removed.ignored_import_count,
            metadata={"circle": found},
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        output.print_error("These files import each other in a circle:")
        output.print_error("  " + "\n  imports ".join(check.metadata["circle"]), bold=False)
