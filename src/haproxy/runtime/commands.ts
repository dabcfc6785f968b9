import type { OperationResult } from "../../reconciler/ports.ts";
import { toSluiceError } from "../../support/errors.ts";
import { hostAndPort } from "../../support/ip.ts";
import type { BackendOperation, ServerOperation } from "../plan/types.ts";
import { type AnswerKind, isAccepted } from "./answers.ts";
import { checkCommand, escapeWord } from "./command-text.ts";
import type { Capabilities } from "./types.ts";

/** A command and the answers that mean success. */
export interface Step {
  readonly line: string;
  readonly expects: AnswerKind;
}

/** The steps of an operation, or the failure of one that cannot be sent at all. */
export type Script =
  | { readonly ok: true; readonly steps: readonly Step[] }
  | Extract<OperationResult, { readonly ok: false }>;

/** The most words HAProxy reads of one command; up to 3.0 it drops the rest and answers success (measured). */
const maxWords = 64;
/** Without them 2.6 closes the connections to a dynamic server after each request (measured). */
const poolKeywords: readonly (readonly [string, string])[] = [
  ["pool-max-conn", "-1"],
  ["pool-purge-delay", "5s"],
];

/** The commands of an operation on a server (management guide 9.3: `add server`, `enable health`, `set server`). */
export function serverScript(operation: ServerOperation, capabilities: Capabilities): Script {
  const command = `${operation.kind} ${operation.backend}/${operation.server}`;
  try {
    const steps = serverSteps(operation, capabilities);
    for (const step of steps) checkCommand(step);
    // Not counted on the text: an escaped space parts no words.
    if (operation.kind === "add-server") {
      const words = 4 + addedOptions(operation, capabilities).length;
      if (words > maxWords) {
        return refused(command, `not sent: the server has ${words} words, HAProxy reads ${maxWords} of a command`);
      }
    }
    return { ok: true, steps };
  } catch (thrown) {
    return refused(command, `not sent: ${toSluiceError(thrown).message}`);
  }
}

/** The command of an operation on a backend (management guide 9.3 of 3.4: `add backend`, `publish backend`, `unpublish backend`). */
export function backendScript(operation: BackendOperation): Script {
  try {
    const step = backendStep(operation);
    checkCommand(step);
    return { ok: true, steps: [step] };
  } catch (thrown) {
    return refused(`${operation.kind} ${operation.backend}`, `not sent: ${toSluiceError(thrown).message}`);
  }
}

/** What HAProxy's answers to the steps of a script come to: the first that is not a success decides. */
export function judge(steps: readonly Step[], answers: readonly string[], missing: string): OperationResult {
  for (const [index, { line, expects }] of steps.entries()) {
    const answer = answers[index];
    if (answer === undefined || !isAccepted(expects, answer)) return refused(line, answer ?? missing);
  }
  return { ok: true };
}

export function refused(command: string, answer: string): Extract<OperationResult, { readonly ok: false }> {
  return { ok: false, command, answer };
}

function backendStep(operation: BackendOperation): Step {
  const name = escapeWord(operation.backend);
  switch (operation.kind) {
    case "add-backend":
      return { line: `add backend ${name} from ${escapeWord(operation.defaults)}`, expects: "backend-added" };
    case "publish-backend":
      return { line: `publish backend ${name}`, expects: "backend-published" };
    case "unpublish-backend":
      return { line: `unpublish backend ${name}`, expects: "backend-unpublished" };
  }
}

function serverSteps(operation: ServerOperation, capabilities: Capabilities): readonly Step[] {
  const path = serverPath(operation.backend, operation.server);
  const set = (what: string): Step => ({ line: `set server ${path} ${what}`, expects: "empty" });
  // Sent before `state ready`, so that the server does not serve for a moment without checks.
  const enableHealth: readonly Step[] =
    "check" in operation && operation.check ? [{ line: `enable health ${path}`, expects: "empty" }] : [];
  switch (operation.kind) {
    case "add-server": {
      const address = escapeWord(hostAndPort(operation.address, operation.port));
      const words = ["add server", path, address, ...addedOptions(operation, capabilities).map(escapeWord)];
      const cookies = `enable dynamic-cookie backend ${escapeWord(operation.backend)}`;
      const makeCookies: readonly Step[] = operation.makeCookies ? [{ line: cookies, expects: "empty" }] : [];
      return [{ line: words.join(" "), expects: "server-added" }, ...makeCookies, ...enableHealth, set("state ready")];
    }
    case "revive-server":
      return [set(`weight ${weight(operation.weight)}`), ...enableHealth, set("state ready")];
    case "retire-server":
      return [set("state maint")];
    case "set-weight":
      return [set(`weight ${weight(operation.weight)}`)];
    default:
      return [set(`state ${operation.state}`)];
  }
}

/** The words behind the address. */
function addedOptions(
  { options, weight: value }: Extract<ServerOperation, { readonly kind: "add-server" }>,
  { needsPoolKeywords }: Capabilities,
): readonly string[] {
  const pool = needsPoolKeywords ? poolKeywords.filter(([word]) => !options.includes(word)).flat() : [];
  return [...options, ...pool, "weight", weight(value)];
}

export function serverPath(backend: string, server: string): string {
  return `${escapeWord(backend)}/${escapeWord(server)}`;
}

function weight(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 256) throw new RangeError(`the weight ${value} is not 0 to 256`);
  return String(value);
}
