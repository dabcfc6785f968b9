import type { ObservedCertificate } from "../../reconciler/ports.ts";
import { listEntries } from "../config/certificate-list.ts";
import { escapeWord } from "./command-text.ts";
import type { RuntimeConnection } from "./connection.ts";

/**
 * The certificates of a list that the process has loaded (management guide 9.3, `show ssl crt-list`, `show ssl cert`):
 *
 * ```text
 * # /state/certs/list.txt                          Filename: /state/certs/a.pem
 * /state/certs/default.pem:1 !*                    Status: Used
 * /state/certs/a.pem:2 a.example.com               SHA1 FingerPrint: DC00BCFC7C6E3591DC1A63D6B2876B8D70CE6F1A
 * ```
 *
 * @returns undefined where the list is not loaded
 * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE
 */
export async function observeCertificates(
  connection: RuntimeConnection,
  list: string,
  signal?: AbortSignal,
): Promise<readonly ObservedCertificate[] | undefined> {
  const answer = await connection.ask(`show ssl crt-list -n ${escapeWord(list)}`, signal);
  if (!answer.startsWith("# ")) return undefined;
  const entries = listEntries(answer).map(({ file, names }) => ({ file: file.replace(/:\d+$/, ""), names }));
  const { answers, failure } = await connection.execute(
    entries.map(({ file }) => ({ line: `show ssl cert ${escapeWord(file)}` })),
    signal,
  );
  if (failure !== undefined) throw failure;
  return entries.map((entry, index) => ({
    ...entry,
    fingerprint: /^SHA1 FingerPrint: ([0-9A-F]+)$/m.exec(answers[index] ?? "")?.[1] ?? "",
  }));
}
