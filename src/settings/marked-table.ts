/** A document with a table between its two marks brought up to date; unchanged where it has no marks. */
export function withTable(
  document: string,
  [begin, end]: readonly [begin: string, end: string],
  table: string,
): string {
  const from = document.indexOf(begin);
  const to = document.indexOf(end, from);
  if (from < 0 || to < 0) return document;
  return `${document.slice(0, from + begin.length)}\n\n${table}\n\n${document.slice(to)}`;
}

/** One row of a Markdown table. `<` begins a tag of HTML but in code. */
export function tableRow(cells: readonly string[]): string {
  const escaped = cells.map((cell) =>
    cell
      .replaceAll("|", "\\|")
      .split(/(`[^`]*`)/)
      .map((part) => (part.startsWith("`") ? part : part.replaceAll("<", "&lt;")))
      .join(""),
  );
  return `| ${escaped.join(" | ")} |`;
}
