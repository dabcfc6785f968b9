import type { OperationResult } from "../../reconciler/ports.ts";
import {
  type BackendOperation,
  isMapOperation,
  isServerOperation,
  type MapOperation,
  type RuntimeOperation,
  type ServerOperation,
} from "../plan/types.ts";
import { mapVersion } from "./answers.ts";
import { type Command, escapeWord, isWord } from "./command-text.ts";
import { backendScript, judge, refused, type Script, serverScript } from "./commands.ts";
import type { BatchAnswers, RuntimeConnection } from "./connection.ts";
import { addMapCommands, editMapCommands } from "./map-commands.ts";
import type { Capabilities } from "./types.ts";

type Edit = Extract<MapOperation, { readonly kind: "edit-map" }>;
type Replacement = Extract<MapOperation, { readonly kind: "replace-map" }>;

type ScriptedOperation = ServerOperation | BackendOperation;

/**
 * Runs the operations in their order and judges each by HAProxy's answers. Those on servers and backends that stand
 * together go in one write, but for publishing: a backend is published when it is known that it was added. Operations on
 * maps go one after the other, since entries of one map refer to entries of others, and lead to backends: behind one that
 * failed, or behind a backend that was not published, no map is changed and no backend taken away, while all else goes
 * on.
 *
 * What was not answered failed: `connection lost` or the like as its answer.
 */
export async function executeOperations(
  connection: RuntimeConnection,
  operations: readonly RuntimeOperation[],
  capabilities: Capabilities,
  signal?: AbortSignal,
): Promise<readonly OperationResult[]> {
  const results: OperationResult[] = [];
  const failures = new Failures();
  while (results.length < operations.length) {
    const batch = nextBatch(operations, results.length);
    const scripts = batch.map((operation) =>
      failures.forbid(operation) ? notSent(operation) : scriptOf(operation, capabilities),
    );
    const answered = await runScripts(connection, scripts, signal);
    for (const [index, operation] of batch.entries()) failures.note(operation, answered[index]);
    results.push(...answered);
    const map = operations[results.length];
    if (map === undefined || !isMapOperation(map)) continue;
    const result = failures.forbid(map) ? notSent(map) : await runMap(connection, map, signal);
    failures.note(map, result);
    results.push(result);
  }
  return results;
}

/** What has failed, and what must not be done for that. */
class Failures {
  /** Backends that were to be added and were not. */
  private readonly missing = new Set<string>();
  private any = false;

  note(operation: RuntimeOperation, result: OperationResult | undefined): void {
    if (result?.ok === true || isServerOperation(operation)) return;
    this.any = true;
    if (operation.kind === "add-backend") this.missing.add(operation.backend);
  }

  forbid(operation: RuntimeOperation): boolean {
    if (operation.kind === "publish-backend") return this.missing.has(operation.backend);
    return this.any && (isMapOperation(operation) || operation.kind === "unpublish-backend");
  }
}

function notSent(operation: RuntimeOperation) {
  const what = "file" in operation ? operation.file : operation.backend;
  return refused(`${operation.kind} ${what}`, "not sent: what it relies on was not done");
}

/** Those that follow from there on and can go in one write. */
function nextBatch(operations: readonly RuntimeOperation[], from: number): readonly ScriptedOperation[] {
  const batch: ScriptedOperation[] = [];
  const publishes = operations[from]?.kind === "publish-backend";
  for (let at = from; at < operations.length; at += 1) {
    const operation = operations[at];
    if (operation === undefined || isMapOperation(operation)) break;
    if (operation.kind === "publish-backend" && !publishes) break;
    batch.push(operation);
  }
  return batch;
}

function scriptOf(operation: ScriptedOperation, capabilities: Capabilities): Script {
  return isServerOperation(operation) ? serverScript(operation, capabilities) : backendScript(operation);
}

async function runScripts(
  connection: RuntimeConnection,
  scripts: readonly Script[],
  signal?: AbortSignal,
): Promise<readonly OperationResult[]> {
  const batch = await connection.execute(
    scripts.flatMap((script) => (script.ok ? script.steps : [])),
    signal,
  );
  const missing = whyMissing(batch);
  let at = 0;
  return scripts.map((script) => {
    if (!script.ok) return script;
    const answers = batch.answers.slice(at, at + script.steps.length);
    at += script.steps.length;
    return judge(script.steps, answers, missing);
  });
}

function runMap(connection: RuntimeConnection, map: MapOperation, signal?: AbortSignal): Promise<OperationResult> {
  if (!isWord(map.file)) {
    return Promise.resolve(refused(`${map.kind} ${map.file}`, "not sent: the path cannot be a word of a command"));
  }
  return map.kind === "edit-map" ? editMap(connection, map, signal) : replaceMap(connection, map, signal);
}

async function editMap(connection: RuntimeConnection, edit: Edit, signal?: AbortSignal): Promise<OperationResult> {
  const file = escapeWord(edit.file);
  const commands = editMapCommands(file, edit);
  return typeof commands === "string"
    ? refused(`edit map ${file}`, commands)
    : await runSilent(connection, commands, signal);
}

/** Prepares a version of the map, fills it, which nobody sees yet, and commits it (management guide 9.3, `prepare map`). */
async function replaceMap(
  connection: RuntimeConnection,
  { file, entries }: Replacement,
  signal?: AbortSignal,
): Promise<OperationResult> {
  const name = escapeWord(file);
  const prepare: Command = { line: `prepare map ${name}` };
  const prepared = await connection.execute([prepare], signal);
  const version = mapVersion(prepared.answers[0] ?? "");
  if (version === undefined) return refused(prepare.line, prepared.answers[0] ?? whyMissing(prepared));

  const adds = addMapCommands(name, version, entries);
  const filled =
    typeof adds === "string" ? refused(`add map ${name}`, adds) : await runSilent(connection, adds, signal);
  if (filled.ok) return runSilent(connection, [{ line: `commit map @${version} ${name}` }], signal);
  // Its answer decides nothing: a version that could not be cleared costs memory until the next commit.
  await connection.execute([{ line: `clear map @${version} ${name}` }], signal);
  return filled;
}

/** Commands whose success has no words. All are sent; the first that was not carried out decides. */
async function runSilent(
  connection: RuntimeConnection,
  commands: readonly Command[],
  signal?: AbortSignal,
): Promise<OperationResult> {
  const batch = await connection.execute(commands, signal);
  const wrong = commands.findIndex((_, index) => batch.answers[index] !== "");
  const command = commands[wrong];
  return command === undefined ? { ok: true } : refused(command.line, batch.answers[wrong] ?? whyMissing(batch));
}

/** Why answers of a batch are missing, as an answer. */
export function whyMissing({ failure }: BatchAnswers): string {
  return failure === undefined ? "connection lost" : `connection lost: ${failure.message}`;
}
