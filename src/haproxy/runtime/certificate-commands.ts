import type { OperationResult } from "../../reconciler/ports.ts";
import { listLine } from "../config/certificate-list.ts";
import type { Certificate, CertificateOperation } from "../plan/types.ts";
import { type Command, escapeWord } from "./command-text.ts";
import { refused } from "./commands.ts";
import type { RuntimeConnection } from "./connection.ts";
import { whyMissing } from "./execute-operations.ts";

interface CertificateStep {
  readonly command: Command;
  /** What the answer is when it was done; undefined: whatever it says. */
  readonly expects?: RegExp;
}

/**
 * Runs operations on certificates and judges each by HAProxy's answers, which are the same on 2.6, 3.0 and 3.2
 * (management guide 9.3, `new`, `set`, `commit`, `abort`, `del ssl cert`, `add`, `del ssl crt-list`; measured). Nothing
 * of a certificate's content is in a result.
 *
 * HAProxy has one transaction for all certificates. Where somebody's is open, 2.6 puts what another `set` brings into
 * that one (measured); so nothing is sent before it is known that none is.
 */
export async function executeCertificates(
  connection: RuntimeConnection,
  operations: readonly CertificateOperation[],
  signal?: AbortSignal,
): Promise<readonly OperationResult[]> {
  const results: OperationResult[] = [];
  for (let at = 0; at < operations.length; at += atOnce) {
    results.push(...(await executeSome(connection, operations.slice(at, at + atOnce), signal)));
  }
  return results;
}

/** So many are answered in time, however slow the machine. */
const atOnce = 50;

async function executeSome(
  connection: RuntimeConnection,
  operations: readonly CertificateOperation[],
  signal: AbortSignal | undefined,
): Promise<readonly OperationResult[]> {
  const scripts = operations.map(stepsOf);
  const [first] = operations;
  if (first === undefined) return [];
  const probe = `abort ssl cert ${escapeWord(fileOf(first))}`;
  const probed = await connection.execute([{ line: probe }], signal);
  const said = probed.answers[0] ?? whyMissing(probed);
  if (!/^(No ongoing transaction!|Transaction aborted for certificate )/.test(said)) {
    return operations.map(() => refused(probe, said));
  }
  const batch = await connection.execute(
    scripts.flatMap((steps) => steps.map(({ command }) => command)),
    signal,
  );
  const missing = whyMissing(batch);
  let at = 0;
  const results = scripts.map((steps): OperationResult => {
    const answers = batch.answers.slice(at, at + steps.length);
    at += steps.length;
    const wrong = steps.findIndex(({ expects }, index) => expects !== undefined && !expects.test(answers[index] ?? ""));
    const step = steps[wrong];
    return step === undefined ? { ok: true } : refused(step.command.line, answers[wrong] ?? missing);
  });
  // What could not be filled would stay as an empty one, and its file would be missing from the list for good.
  const unfinished = operations.filter(({ kind }, index) => kind === "add-certificate" && results[index]?.ok !== true);
  const remains = unfinished.map((operation) => ({ line: `del ssl cert ${escapeWord(fileOf(operation))}` }));
  await connection.execute(remains, signal);
  return results;
}

function fileOf(operation: CertificateOperation): string {
  return operation.kind === "remove-certificate" ? operation.file : operation.certificate.file;
}

function stepsOf(operation: CertificateOperation): readonly CertificateStep[] {
  const file = escapeWord(fileOf(operation));
  switch (operation.kind) {
    case "set-certificate":
      return contentSteps(file, operation.certificate);
    case "add-certificate": {
      const line = `add ssl crt-list ${escapeWord(operation.list)}`;
      return [
        {
          command: { line: `new ssl cert ${file}` },
          expects: /^(New empty certificate store '.*'!|Certificate '.*' already exists!)$/,
        },
        ...contentSteps(file, operation.certificate),
        { command: { line, payload: [listLine(operation.certificate)] }, expects: success },
      ];
    }
    case "remove-certificate":
      return [
        {
          command: { line: `del ssl crt-list ${escapeWord(operation.list)} ${file}` },
          // The latter two: it is in no list.
          expects:
            /^(Entry '.*' deleted in crtlist '.*'!|Can't delete the entry: certificate '.*' (does not exist|is empty)!)$/,
        },
        {
          command: { line: `del ssl cert ${file}` },
          expects: /^(Certificate '.*' deleted!|Can't remove the certificate: certificate '.*' doesn't exist!)$/,
        },
      ];
  }
}

/** `Committing F.` with a dot for each place it is used in, log lines where there is something to say, `Success!` */
const success = /(^|\n)Success!$/;

/** A key that does not fit passes `set` and fails `commit`, which leaves the transaction open. */
function contentSteps(file: string, { pem }: Certificate): readonly CertificateStep[] {
  const payload = pem.reveal().trimEnd().split("\n");
  return [
    {
      command: { line: `set ssl cert ${file}`, payload, long: true },
      expects: /(^|\n)Transaction created for certificate /,
    },
    { command: { line: `commit ssl cert ${file}` }, expects: success },
    { command: { line: `abort ssl cert ${file}` } },
  ];
}
