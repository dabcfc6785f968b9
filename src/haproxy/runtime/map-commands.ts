import { toSluiceError } from "../../support/errors.ts";
import type { MapOperation } from "../plan/types.ts";
import { type Command, checkCommand, escapeWord, longestCommand } from "./command-text.ts";
import type { MapEntry } from "./types.ts";

/** Lines of one payload. More brings nothing, and HAProxy up to 3.2 holds a payload in one buffer. */
const payloadLines = 400;

type Edit = Extract<MapOperation, { readonly kind: "edit-map" }>;

/**
 * The commands that change single entries of a map (management guide 9.3: `add map`, `set map`, `del map`): `add map`
 * does not mind a key that is there, the others refuse one that is not.
 *
 * @param file the map's path as a word of a command
 * @returns a sentence where an entry cannot be carried
 */
export function editMapCommands(file: string, edit: Edit): readonly Command[] | string {
  const added = addMapCommands(file, undefined, edit.add);
  if (typeof added === "string") return added;
  try {
    const others: readonly Command[] = [
      ...edit.set.map(({ key, value }) => ({ line: `set map ${file} ${escapeWord(key)} ${escapeWord(value)}` })),
      ...edit.delete.map((key) => ({ line: `del map ${file} ${escapeWord(key)}` })),
    ];
    for (const command of others) checkCommand(command);
    return [...added, ...others];
  } catch (thrown) {
    return `not sent: ${toSluiceError(thrown).message}`;
  }
}

/**
 * The `add map` commands that fill a version of a map (management guide 9.3, `add map`): entries as payloads, since those carry
 * values of several words and cost a fifth of single commands.
 *
 * @param file the map's path as a word of a command
 * @param version left out: the one that is in use
 * @returns a sentence where an entry cannot be carried
 */
export function addMapCommands(
  file: string,
  version: string | undefined,
  entries: readonly MapEntry[],
): readonly Command[] | string {
  const line = version === undefined ? `add map ${file}` : `add map @${version} ${file}`;
  const room = longestCommand - Buffer.byteLength(`${line} <<\n\n`);
  const commands: Command[] = [];
  let payload: string[] = [];
  let length = 0;
  for (const { key, value } of entries) {
    const problem = entryProblem(key, value);
    if (problem !== undefined) return `not sent: the entry ${JSON.stringify(`${key} ${value}`)} ${problem}`;
    // The space is there for an empty value too: without it the line and the next one would be lost.
    const row = `${key} ${value}`;
    const bytes = Buffer.byteLength(row) + 1;
    if (bytes > room) return `not sent: the entry of key ${JSON.stringify(key)} has ${bytes} bytes, ${room} fit`;
    if (length + bytes > room || payload.length === payloadLines) {
      commands.push({ line, payload });
      payload = [];
      length = 0;
    }
    payload.push(row);
    length += bytes;
  }
  if (payload.length > 0) commands.push({ line, payload });
  return commands;
}

function entryProblem(key: string, value: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (key === "" || /[\u0000-\u0020\u007f]/.test(key)) return "has a key that is not one word";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return "has a control character in its value";
  return undefined;
}
