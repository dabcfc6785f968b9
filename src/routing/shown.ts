/** A stranger's value, made fit for a log line or a terminal: quoted, bounded, and nothing in it that a terminal obeys. */
export function shown(value: string): string {
  const bounded = value.length > 80 ? `${value.slice(0, 80)}…` : value;
  return JSON.stringify(bounded).replace(/\p{C}/gu, (hidden) => `\\u{${(hidden.codePointAt(0) ?? 0).toString(16)}}`);
}
