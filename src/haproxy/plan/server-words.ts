import type { ServerLine } from "../config/types.ts";

/** What a server runs with: the default-server words in force, then its own, which win (configuration manual 5.2). */
export function allWords(line: Pick<ServerLine, "defaults" | "options">): readonly string[] {
  return line.defaults.length === 0 ? line.options : [...line.defaults, ...line.options];
}

/** Whether HAProxy checks a server with these words: the last of `check` and `no-check` counts. */
export function isChecked(words: readonly string[]): boolean {
  return words.lastIndexOf("check") > words.lastIndexOf("no-check");
}

export function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

/**
 * What the file implies and `add server` does not: with `ssl` or `send-proxy`, checks do the same only when told; and
 * with `observe`, 2.6 has neither an `error-limit` nor an `on-error` unless told, so that connections that fail never
 * take a server out (measured; 3.0 and later have the defaults of configuration manual 5.2).
 */
export function spelledOut(given: readonly string[]): readonly string[] {
  const words = withoutNoCheck(given);
  if (!words.includes("check")) return words;
  const more: string[] = [];
  if (words.includes("ssl") && !words.includes("check-ssl") && !words.includes("no-check-ssl")) more.push("check-ssl");
  const sendsProxy = words.some((word) => word.startsWith("send-proxy"));
  if (sendsProxy && !words.includes("check-send-proxy")) more.push("check-send-proxy");
  if (words.includes("observe")) {
    if (!words.includes("error-limit")) more.push("error-limit", "10");
    if (!words.includes("on-error")) more.push("on-error", "fail-check");
  }
  return more.length === 0 ? words : [...words, ...more];
}

/** `add server` takes no `no-check`, and checks nothing that is not told `check`. */
export function withoutNoCheck(words: readonly string[]): readonly string[] {
  if (!words.includes("no-check")) return words;
  const checked = isChecked(words);
  return words.filter((word) => word !== "no-check" && (checked || word !== "check"));
}
