import type { OperationResult } from "../../reconciler/ports.ts";
import { isMapOperation, isServerOperation } from "../plan/operations.ts";
import type { MapOperation, RuntimeOperation, ServerOperation } from "../plan/types.ts";
import { mapVersion } from "./answers.ts";
import { type Command, escapeWord, isWord } from "./command-text.ts";
import { judge, refused, type Script, serverScript } from "./commands.ts";
import type { BatchAnswers, RuntimeConnection } from "./connection.ts";
import { addMapCommands, editMapCommands } from "./map-commands.ts";
import type { Capabilities } from "./types.ts";

type Edit = Extract<MapOperation, { readonly kind: "edit-map" }>;
type Replacement = Extract<MapOperation, { readonly kind: "replace-map" }>;

/**
 * Runs the operations in their order and judges each by HAProxy's answers. Those that stand together and need nothing of
 * each other go in one write. Operations on maps go one after the other, since entries of one map refer to entries of
 * others: behind one that failed no other is sent, while what is not about maps goes on.
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
  let mapsFailed = false;
  for (let at = 0; at < operations.length; at = results.length) {
    const batch = serverOperations(operations, at);
    if (batch.length > 0) {
      const scripts = batch.map((operation) => serverScript(operation, capabilities));
      results.push(...(await runScripts(connection, scripts, signal)));
      continue;
    }
    const operation = operations[at];
    if (operation === undefined || !isMapOperation(operation)) break;
    const result: OperationResult = mapsFailed ? afterFailure : await runMap(connection, operation, signal);
    mapsFailed ||= !result.ok;
    results.push(result);
  }
  return results;
}

const afterFailure = refused("(maps)", "not sent: what was to be changed of a map before it was not");

/** Those that follow from there on without another kind between them. */
function serverOperations(operations: readonly RuntimeOperation[], from: number): readonly ServerOperation[] {
  const batch: ServerOperation[] = [];
  for (let at = from; at < operations.length; at += 1) {
    const operation = operations[at];
    if (operation === undefined || !isServerOperation(operation)) break;
    batch.push(operation);
  }
  return batch;
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
