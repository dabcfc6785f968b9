import path from "node:path";
import type { ConfigProblem } from "../../reconciler/ports.ts";

/** What HAProxy wrote to stderr, sorted. */
export interface HaproxyOutput {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

interface Entry {
  readonly level: string;
  readonly text: string;
}

/** Ends of a list of errors that say nothing by themselves. */
const summaries = [
  /^Error\(s\) found in configuration file/,
  /^Fatal errors found in configuration/,
  /^Loading failure!/,
  /^\[haproxy\.main\(\)\] Some protocols failed to start/,
];

/**
 * Takes apart what HAProxy writes to stderr (`haproxy -c`, and the log of a process). The layout, with or without
 * `config : ` and a position:
 *
 * ```text
 * [ALERT]    (123) : config : parsing [/etc/haproxy.cfg:14] : unknown keyword 'foo' in 'backend' section
 * [ALERT]    (123) : config : [/etc/haproxy.cfg:13] : 'server b/s1' : unknown keyword 'chekc'; did you mean 'check' maybe ?
 * [WARNING]  (123) : Proxy 'f': timeouts are missing
 *    | continuation of the message above
 * ```
 *
 * @param file the configuration file; a position in another file stays in the message
 */
export function parseOutput(stderr: string, file: string): HaproxyOutput {
  const entries: Entry[] = [];
  for (const line of stderr.split("\n")) {
    const match = /^\[(ALERT|EMERG|CRIT|WARNING|NOTICE|INFO|DEBUG)\]\s+\([0-9]+\) : (.*)$/.exec(line);
    if (match !== null) entries.push({ level: match[1] ?? "", text: (match[2] ?? "").trim() });
    else if (line.trim() !== "") {
      const last = entries.pop();
      const text = line.replace(/^\s*\|?\s*/, "").trim();
      // Words before the first entry come from the loader or the shell: a missing library, a crash.
      entries.push(
        last === undefined ? { level: "ALERT", text } : { level: last.level, text: `${last.text}; ${text}` },
      );
    }
  }
  const alerts = entries.filter(({ level }) => level === "ALERT" || level === "EMERG" || level === "CRIT");
  const telling = alerts.filter(({ text }) => !summaries.some((summary) => summary.test(withoutConfig(text))));
  return {
    problems: (telling.length > 0 ? telling : alerts).map(({ text }) => problem(text, file)),
    warnings: entries.filter(({ level }) => level === "WARNING").map(({ text }) => sentence(problem(text, file))),
  };
}

/** A problem in one sentence: `line 14: unknown keyword 'foo'`. */
export function sentence({ line, message }: ConfigProblem): string {
  return line === undefined ? message : `line ${line}: ${message}`;
}

function withoutConfig(text: string): string {
  return text.replace(/^config : /, "");
}

function problem(text: string, file: string): ConfigProblem {
  const message = withoutConfig(text);
  // Also `Binding [F:11] for frontend f: …`, from a process that starts.
  const match = /^(?:([Pp]arsing|Binding) )?\[([^\]]+):([0-9]+)\](?: ?:)? (.*)$/.exec(message);
  if (match === null) return { message };
  const [, verb, where = "", line, rest = ""] = match;
  if (path.resolve(path.dirname(file), where) !== path.resolve(file)) return { message };
  return { line: Number(line), message: verb === "Binding" ? `binding ${rest}` : rest };
}
