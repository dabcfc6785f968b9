import type { Container } from "../docker/types.ts";

/**
 * What a container says of one of its ports: the words behind `SERVICE_` and `SERVICE_<port>_`, in lower case, from its
 * environment and from its labels. `SERVICE_CHECK_HTTP=/health` is `check_http`.
 */
export interface PortWords {
  /** @returns undefined where it is not said, or empty */
  get(word: string): string | undefined;
  /** Whether it is said of this port alone, and so needs no port behind it to tell it from the others. */
  isOwn(word: string): boolean;
  /** All that is said and not empty, by word, sorted. */
  all(): readonly (readonly [word: string, value: string])[];
}

const prefix = "SERVICE_";

/** What is said of a port goes before what is said of all, and a label before the environment. */
export function wordsOf({ environment, labels }: Pick<Container, "environment" | "labels">): {
  of(port: number): PortWords;
} {
  const ofAll = new Map<string, string>();
  const ofPort = new Map<number, Map<string, string>>();
  const take = (name: string, text: string) => {
    if (!name.startsWith(prefix)) return;
    // Half a surrogate pair would come back from Consul as something else.
    const value = text.toWellFormed();
    const word = name.slice(prefix.length).toLowerCase();
    const [, port, rest] = /^(\d{1,5})_(.+)$/s.exec(word) ?? [];
    if (port === undefined || rest === undefined) {
      if (word !== "") ofAll.set(word, value);
      return;
    }
    const known = ofPort.get(Number(port)) ?? new Map<string, string>();
    ofPort.set(Number(port), known.set(rest, value));
  };
  for (const text of environment) {
    const at = text.indexOf("=");
    if (at > 0) take(text.slice(0, at), text.slice(at + 1));
  }
  for (const name of [...labels.keys()].sort()) take(name, labels.get(name) ?? "");
  return {
    of: (port) => {
      const own = ofPort.get(port) ?? new Map<string, string>();
      const merged = new Map([...ofAll, ...own]);
      return {
        get: (word) => merged.get(word) || undefined,
        isOwn: (word) => (own.get(word) ?? "") !== "",
        all: () => [...merged].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
      };
    },
  };
}

/** The parts of a text that commas separate, where `\,` is a comma. */
export function tagList(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const parts = text.match(/(?:\\,|[^,])+/g) ?? [];
  return parts.map((part) => part.replaceAll("\\,", ",").trim()).filter((part) => part !== "");
}

/** `true`, `1`, `yes`: anything but what says no. */
export function saysYes(value: string | undefined): boolean {
  return value !== undefined && !/^(0|f|false|n|no|off)?$/i.test(value.trim());
}
