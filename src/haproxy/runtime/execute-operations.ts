import type { OperationResult } from "../../reconciler/ports.ts";
import type { RuntimeOperation } from "../plan/types.ts";
import { mapVersion } from "./answers.ts";
import { type Command, escapeWord, isWord } from "./command-text.ts";
import { judge, refused, type Script, serverScript } from "./commands.ts";
import type { BatchAnswers, RuntimeConnection } from "./connection.ts";
import { addMapCommands } from "./map-commands.ts";
import type { Capabilities } from "./types.ts";

type MapOperation = Extract<RuntimeOperation, { readonly kind: "replace-map" }>;

/**
 * Runs the operations in their order and judges each by HAProxy's answers. Without map operations all go in one write.
 * A map needs a version before its entries can be sent, and its entries accepted before it may be committed; so with
 * map operations there are three steps: what stands before the first map goes out at once, and all maps are asked for a
 * version; their entries, which nobody sees yet; all the rest, commits in their place.
 *
 * What was not answered failed: `connection lost` or the like as its answer.
 */
export async function executeOperations(
  connection: RuntimeConnection,
  operations: readonly RuntimeOperation[],
  capabilities: Capabilities,
  signal?: AbortSignal,
): Promise<readonly OperationResult[]> {
  const firstMap = operations.findIndex(({ kind }) => kind === "replace-map");
  if (firstMap === -1) return runScripts(connection, scriptsOf(operations, capabilities, []), signal);

  const [before, mapScripts] = await Promise.all([
    runScripts(connection, scriptsOf(operations.slice(0, firstMap), capabilities, []), signal),
    Promise.all(operations.filter(isMap).map((map) => fillMap(connection, map, signal))),
  ]);
  const after = scriptsOf(operations.slice(firstMap), capabilities, mapScripts);
  return [...before, ...(await runScripts(connection, after, signal))];
}

function isMap(operation: RuntimeOperation): operation is MapOperation {
  return operation.kind === "replace-map";
}

function scriptsOf(
  operations: readonly RuntimeOperation[],
  capabilities: Capabilities,
  mapScripts: readonly Script[],
): readonly Script[] {
  const maps = mapScripts.values();
  return operations.map((operation) =>
    operation.kind === "replace-map"
      ? (maps.next().value ?? refused(operation.kind, "not sent"))
      : serverScript(operation, capabilities),
  );
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

/**
 * Prepares a version of the map and fills it (management guide 9.3, `prepare map`, `add map @version`).
 *
 * @returns what is left to do: to commit the version. A version that was not filled is cleared
 */
async function fillMap(
  connection: RuntimeConnection,
  { file, entries }: MapOperation,
  signal?: AbortSignal,
): Promise<Script> {
  if (!isWord(file)) return refused(`prepare map ${file}`, "not sent: the path cannot be a word of a command");
  const name = escapeWord(file);
  const prepare: Command = { line: `prepare map ${name}` };
  const prepared = await connection.execute([prepare], signal);
  const version = mapVersion(prepared.answers[0] ?? "");
  if (version === undefined) return refused(prepare.line, prepared.answers[0] ?? whyMissing(prepared));

  const adds = addMapCommands(name, version, entries);
  const failure = typeof adds === "string" ? refused(`add map ${name}`, adds) : await fill(connection, adds, signal);
  if (failure === undefined) return { ok: true, steps: [{ line: `commit map @${version} ${name}`, expects: "empty" }] };
  // Its answer decides nothing: a version that could not be cleared costs memory until the next commit.
  await connection.execute([{ line: `clear map @${version} ${name}` }], signal);
  return failure;
}

/** Undefined when every command was answered as it should. */
async function fill(connection: RuntimeConnection, adds: readonly Command[], signal?: AbortSignal) {
  const added = await connection.execute(adds, signal);
  const wrong = adds.findIndex((_, index) => added.answers[index] !== "");
  const command = adds[wrong];
  return command === undefined ? undefined : refused(command.line, added.answers[wrong] ?? whyMissing(added));
}

function whyMissing({ failure }: BatchAnswers): string {
  return failure === undefined ? "connection lost" : `connection lost: ${failure.message}`;
}
