import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import { escapeWord } from "../runtime/command-text.ts";
import { RuntimeConnection } from "../runtime/connection.ts";

/**
 * Makes frontends serve that a reload has left paused. A new process that finds an address taken has the old one pause
 * its listeners, and tries for two seconds. Where the address becomes free meanwhile the reload succeeds, but the
 * listeners it has got from the old one refuse every connection from then on: `Paused frontend f` says the new one
 * (measured on 2.6.12, 3.0.11 and 3.2.26, with a master and by `-sf`). To be called when a new process has answered: what
 * is paused then nobody has paused at will. It is paused already when the process answers (measured).
 *
 * Management guide 9.3: `show stat`, `enable frontend`.
 *
 * Where it cannot be asked nothing is done: that is no reason for a reload to have failed.
 *
 * @throws the signal's reason
 */
export async function resumePaused(
  { runtimeSocket: path, clock }: { readonly runtimeSocket: string; readonly clock: Clock },
  signal?: AbortSignal,
): Promise<void> {
  let connection: RuntimeConnection | undefined;
  try {
    connection = await RuntimeConnection.open({ path, clock, signal });
    const paused = pausedFrontends(await connection.ask("show stat -1 1 -1", signal));
    for (const name of paused) await connection.ask(`enable frontend ${escapeWord(name)}`, signal);
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
  } finally {
    connection?.close();
  }
}

/**
 * Of `show stat -1 1 -1`, whose head line names the columns:
 *
 * ```text
 * # pxname,svname,qcur,qmax,scur,smax,slim,stot,…,status,weight,…
 * f,FRONTEND,,,0,0,4096,0,…,PAUSED,,…
 * ```
 */
export function pausedFrontends(text: string): readonly string[] {
  const [head = "", ...rows] = text.split("\n");
  const columns = head.replace(/^# /, "").split(",");
  const [name, status] = [columns.indexOf("pxname"), columns.indexOf("status")];
  return rows
    .map((row) => row.split(","))
    .filter((words) => words[status] === "PAUSED")
    .flatMap((words) => words[name] ?? []);
}
