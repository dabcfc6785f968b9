/** The parts of a text that are separated by commas, without white space around them; empty ones are left out. */
export function commaList(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
