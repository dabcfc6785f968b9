import { isIP } from "node:net";
import { quoteWord } from "../haproxy/config/words.ts";
import { SluiceError } from "../support/errors.ts";

/**
 * `quote`: a text or number as one word of haproxy.cfg, quoted where something in it is special.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE for control characters, and for an empty text: HAProxy takes an empty word for
 *   the end of its line and leaves out, up to 3.0 without a word, what stands behind it (measured)
 */
export function quote(value: unknown): string {
  return quoteWord(filled(textOf(value)));
}

/**
 * `format`: a text or number as one word where HAProxy takes a log-format string (configuration manual 8.2.4): what
 * `quote` makes of it, with each `%` doubled. Only quoted, a service named `%[env(TOKEN)]` would be evaluated.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE as `quote`
 */
export function format(value: unknown): string {
  return quoteWord(filled(textOf(value)).replaceAll("%", "%%"));
}

/**
 * `words`: each word of a text quoted by itself; what parts words is white space.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE as `quote`
 */
export function words(value: unknown): string {
  const parts = filled(textOf(value).trim()).split(/ +/);
  return parts.map(quoteWord).join(" ");
}

/**
 * `token`: the value as it is, where it is made of `A-Za-z0-9_.:-` alone (configuration manual 2.1: names of proxies
 * and servers).
 *
 * @throws SluiceError ERR_VALUE_UNSAFE
 */
export function token(value: unknown): string {
  const text = textOf(value);
  if (/^[A-Za-z0-9_.:-]+$/.test(text)) return text;
  throw unsafe(text, "is not a name: letters, digits and _ . : - are what it may have");
}

/**
 * `host`: an IP address or host name as it stands before a `:port`, IPv6 in brackets.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE
 */
export function host(value: unknown): string {
  const text = textOf(value);
  const family = isIP(text);
  if (family === 6 && !text.includes("%")) return `[${text}]`;
  if (family === 4 || /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(text)) return text;
  throw unsafe(text, "is neither an IP address nor a host name");
}

const longestMs = 0x7fffffff;

/**
 * `duration`: milliseconds as HAProxy writes time (configuration manual 2.5), in the largest unit that divides them.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE for what is not a whole number from 0 to 2^31 - 1
 */
export function duration(value: unknown): string {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > longestMs) {
    throw unsafe(String(value), "is not a length of time: a whole number of milliseconds below 24 days");
  }
  if (value === 0) return "0s";
  for (const [unit, ms] of units) if (value % ms === 0) return `${value / ms}${unit}`;
  return `${value}ms`;
}

const units = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  const what = value === undefined || value === null ? "no value" : `a value of type ${typeof value}`;
  throw new SluiceError("ERR_TEMPLATE_FAILED", `got ${what} where a text or a number is needed`);
}

function filled(text: string): string {
  if (text !== "") return text;
  throw unsafe(text, "is empty, and an empty word ends its line for HAProxy; leave it out with {% if %}");
}

function unsafe(text: string, problem: string): SluiceError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return new SluiceError("ERR_VALUE_UNSAFE", `the value ${shown} ${problem}`);
}
