import { serversByLine } from "../config/servers.ts";
import type { Line, Section } from "../config/types.ts";

/** Words that carry a secret, or have one behind them: what follows is not shown. */
const secretive = /^(auth|insecure-password|setenv|presetenv)$|passw|secret|token|authorization|api[-_]?key|cookie:/i;
const longestShown = 160;

/** The first thing that differs between two sections that are not equal, servers apart, for a person. */
export function firstDifference(now: Section, wanted: Section): string {
  if (keyOf(now.header) !== keyOf(wanted.header)) return `${shown(now.header)} → ${shown(wanted.header)}`;
  if (now.conditional !== wanted.conditional) {
    return wanted.conditional === true ? "stands in an .if block now" : "stands in an .if block no more";
  }
  const before = structureLines(now);
  const after = structureLines(wanted);
  const gone = missingFrom(after, before);
  const fresh = missingFrom(before, after);
  if (gone !== undefined && fresh !== undefined) {
    const [left, right] = [shown(gone), shown(fresh)];
    return left === right ? `${left} has changed in what is not shown here` : `${left} → ${right}`;
  }
  if (fresh !== undefined) return `${shown(fresh)} is new`;
  if (gone !== undefined) return `${shown(gone)} is gone`;
  return "its lines stand in another order, or not as often";
}

function structureLines(section: Section): readonly Line[] {
  const servers = serversByLine(section);
  return section.lines.filter((line, index) => line.words.length > 0 && !servers.has(index));
}

function missingFrom(there: readonly Line[], here: readonly Line[]): Line | undefined {
  const known = new Set(there.map(keyOf));
  return here.find((line) => !known.has(keyOf(line)));
}

function keyOf({ words, variables }: Line): string {
  return JSON.stringify([words, variables]);
}

/** A line for logs, quoted: no comment, no secret, not too long. */
function shown({ words }: Line): string {
  const at = words.findIndex((word) => secretive.test(word));
  const found = at === -1 ? null : secretive.exec(words[at] ?? "");
  if (found === null) return JSON.stringify(cut(words.join(" ")));
  // One word may hold a whole header: name and value.
  const open = (words[at] ?? "").slice(0, found.index + found[0].length);
  return JSON.stringify(`${cut([...words.slice(0, at), open].join(" "))} …`);
}

function cut(text: string): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
