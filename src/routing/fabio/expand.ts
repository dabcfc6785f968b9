/** Names of one sign that may follow `$` (Go, os.Expand: what a shell calls its special variables). */
const specialName = /[*#$@!?\-0-9]/;
const name = /^[A-Za-z0-9_]+/;

/**
 * Puts values in place of `$name` and `${name}`, as Go's os.Expand does, by which Fabio reads its tags: a name nobody
 * knows becomes nothing, `${` without an end and `${}` are left out, and a `$` no name follows stays.
 */
export function expand(text: string, values: Readonly<Record<string, string>>): string {
  let expanded = "";
  let at = 0;
  for (let sign = text.indexOf("$"); sign !== -1 && sign + 1 < text.length; sign = text.indexOf("$", at)) {
    const { variable, length } = readName(text.slice(sign + 1));
    expanded += text.slice(at, sign);
    if (length === 0) expanded += "$";
    else if (Object.hasOwn(values, variable)) expanded += values[variable] ?? "";
    at = sign + 1 + length;
  }
  return expanded + text.slice(at);
}

/** The name behind a `$`, and how many signs it takes. */
function readName(rest: string): { readonly variable: string; readonly length: number } {
  if (rest.startsWith("{")) {
    if (specialName.test(rest.charAt(1)) && rest.charAt(2) === "}") return { variable: rest.charAt(1), length: 3 };
    const end = rest.indexOf("}");
    return end === -1 ? { variable: "", length: 1 } : { variable: rest.slice(1, end), length: end + 1 };
  }
  if (specialName.test(rest.charAt(0))) return { variable: rest.charAt(0), length: 1 };
  const variable = name.exec(rest)?.[0] ?? "";
  return { variable, length: variable.length };
}
