import { SluiceError } from "../../support/errors.ts";

/** One command of the Runtime API. */
export interface Command {
  /** Its line, without a newline. */
  readonly line: string;
  /** Lines of its payload (management guide 9.3, "Unix Socket commands", `<<`); none of them empty. */
  readonly payload?: readonly string[];
  /** Whether it may be as long as `longestPayload`. */
  readonly long?: boolean;
}

/** HAProxy takes 15 kB at least; beyond it 2.6 gives no answer and 3.4 one without an end (measured). */
export const longestCommand = 8_192;
/** One that says it may be longer: a certificate cannot be parted. */
const longestPayload = 15_300;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const control = /[\u0000-\u001f\u007f]/;

/**
 * A value as one word of a command: blanks, `;` and `\` are escaped by a backslash, quotes mean nothing to HAProxy
 * there (management guide 9.3).
 *
 * @throws {SluiceError} ERR_VALUE_UNSAFE for what cannot be carried: an empty value, control characters, a word that
 *   begins a payload (`<<`)
 */
export function escapeWord(value: string): string {
  if (/^[A-Za-z0-9_.:/@%+,=-]+$/.test(value)) return value;
  if (!isWord(value)) {
    throw unsafe(`the value ${JSON.stringify(value)} cannot be a word of a HAProxy command`);
  }
  return value.replace(/[ ;\\]/g, "\\$&");
}

/** Whether `escapeWord` takes it. */
export function isWord(value: string): boolean {
  return value !== "" && !control.test(value) && !value.startsWith("<<");
}

/** Throws ERR_VALUE_UNSAFE unless HAProxy would read the text as this one command. */
export function checkCommand({ line, payload, long = false }: Command): void {
  if (line === "") throw unsafe("a HAProxy command is empty");
  if (control.test(line)) throw unsafe(`the HAProxy command ${JSON.stringify(line)} has a control character in it`);
  // Unescaped, `;` ends a command, a backslash at the end takes the newline in, and `<<` begins a payload.
  if (/[;\\]/.test(line.replace(/\\./g, "")) || /(?:^| )<<[^ ]*$/.test(line)) {
    throw unsafe(`the HAProxy command ${JSON.stringify(line)} would not be read as one command`);
  }
  for (const row of payload ?? []) {
    if (row === "" || /[\r\n\0]/.test(row)) {
      throw unsafe(`the payload line ${JSON.stringify(row)} of ${JSON.stringify(line)} is not one line`);
    }
  }
  const length = Buffer.byteLength(commandText({ line, ...(payload && { payload }) }));
  const room = long ? longestPayload : longestCommand;
  if (length > room) {
    throw unsafe(`the HAProxy command ${JSON.stringify(line.slice(0, 60))}… has ${length} bytes, ${room} fit`);
  }
}

/** What goes over the socket. */
export function commandText({ line, payload }: Command): string {
  return payload === undefined ? `${line}\n` : `${line} <<\n${payload.join("\n")}\n\n`;
}

function unsafe(what: string): SluiceError {
  return new SluiceError("ERR_VALUE_UNSAFE", `${what}; correct it where it comes from`);
}
