import { regexProblem, withoutSpaces } from "./safe-regex.ts";
import type { Condition, RoutePattern } from "./types.ts";

/*
 * HAProxy looks conditions up by regular expressions over a text with the method and all headers, as `req.hdrs` has them
 * (configuration manual 7.3.6): names in small letters, a colon and a space, the value, CR LF.
 *
 *   <set> <METHOD> \r\n<name>: <value>\r\n<name>: <value>\r\n…\r\n
 */

/** What stands behind the name of a set in a row of conditions.map. Without white space. */
export function requestRegex({ methods, conditions }: Pick<RoutePattern, "methods" | "conditions">): string {
  const method = methods.length === 0 ? "[^\\x20]+" : `(?:${methods.map(escaped).join("|")})`;
  return `${method}\\x20${conditions.map((one) => `(?=[\\s\\S]*?${conditionRegex(one)})`).join("")}`;
}

/** What is wrong with a condition, in words a person understands; `undefined` where it can be used. */
export function conditionProblem(condition: Condition): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if ("value" in condition && /[\x00-\x1f\x7f]/.test(condition.value)) return "has a control character";
  if (condition.on !== "header" || condition.is !== "like") return undefined;
  const problem = regexProblem(condition.value);
  if (problem !== undefined) return problem;
  for (const { inner } of alternatives(condition.value)) {
    if (hasAnchor(inner)) return "has ^ or $ within; write them at the ends alone";
  }
  return undefined;
}

/** Whether a request is as it must be: what the expressions of `requestRegex` find. */
export function fits(
  { methods, conditions }: Pick<RoutePattern, "methods" | "conditions">,
  method: string,
  headers: Readonly<Record<string, string>>,
): boolean {
  return (methods.length === 0 || methods.includes(method)) && conditions.every((one) => holds(one, headers));
}

function holds(condition: Condition, headers: Readonly<Record<string, string>>): boolean {
  if (condition.on === "cookie") {
    const cookies = (headers["cookie"] ?? "").split(";").map((one) => one.trim());
    return cookies.includes(`${condition.name}=${condition.value}`);
  }
  const value = headers[condition.name];
  if (value === undefined || condition.is === "present") return value !== undefined;
  return condition.is === "equal" ? value === condition.value : new RegExp(condition.value, "u").test(value);
}

function conditionRegex(condition: Condition): string {
  if (condition.on === "cookie") {
    const pair = `${escaped(condition.name)}=${escaped(condition.value)}`;
    return `\\r\\ncookie:\\x20(?:[^\\r\\n]*;\\x20?)?${pair}\\x20?(?:;|\\r\\n)`;
  }
  const name = `\\r\\n${escaped(condition.name)}:\\x20`;
  if (condition.is === "present") return `\\r\\n${escaped(condition.name)}:`;
  if (condition.is === "equal") return `${name}${escaped(condition.value)}\\r\\n`;
  const values = alternatives(condition.value).map(
    ({ begins, inner, ends }) =>
      `${begins ? "" : "[^\\r\\n]*?"}(?:${withinLine(withoutSpaces(inner))})${ends ? "" : "[^\\r\\n]*"}\\r\\n`,
  );
  return `${name}(?:${values.join("|")})`;
}

/** An expression's alternatives, each without the anchors at its ends. */
function alternatives(source: string) {
  const parts: string[] = [""];
  let depth = 0;
  for (const token of tokens(source)) {
    if (token === "(") depth += 1;
    if (token === ")") depth -= 1;
    if (token === "|" && depth === 0) parts.push("");
    else parts[parts.length - 1] += token;
  }
  return parts.map((part) => {
    const begins = part.startsWith("^");
    const ends = tokens(part).at(-1) === "$";
    return { begins, ends, inner: part.slice(begins ? 1 : 0, ends ? -1 : undefined) };
  });
}

function hasAnchor(source: string): boolean {
  return tokens(source).some((token) => token === "^" || token === "$");
}

/** What is no end of a line, neither by a class nor by a sign that stands for several. */
function withinLine(source: string): string {
  return tokens(source)
    .map((token) => {
      const own = linesOwn.get(token);
      if (own !== undefined) return own;
      if (token.startsWith("[^")) return `${token.slice(0, -1)}\\r\\n]`;
      return /^\[.*\\[sSDW]/.test(token) ? `(?:(?![\\r\\n])${token})` : token;
    })
    .join("");
}

/** Signs that stand for several, less the ends of lines. Classes alone: a group would be written out for each repetition. */
const linesOwn: ReadonlyMap<string, string> = new Map([
  [".", "[^\\r\\n]"],
  ["\\s", "[\\x20\\t\\f\\v]"],
  ["\\D", "[^\\d\\r\\n]"],
  ["\\W", "[^\\w\\r\\n]"],
]);

/** An expression's parts: an escape, a class in brackets, or one sign. */
function tokens(source: string): readonly string[] {
  return source.match(/\\.|\[(?:\\.|[^\]\\])*\]|./g) ?? [];
}

/** A text that stands for itself in an expression. Other characters than letters and digits are named by their bytes. */
function escaped(text: string): string {
  return [...new TextEncoder().encode(text)]
    .map((byte) => {
      const sign = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(sign) ? sign : `\\x${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
}
