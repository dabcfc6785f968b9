import { afterEach, describe, expect, test } from "@jest/globals";
import type { Certificate, CertificateOperation } from "../../../../src/haproxy/plan/types.ts";
import { executeCertificates } from "../../../../src/haproxy/runtime/certificate-commands.ts";
import { RuntimeConnection } from "../../../../src/haproxy/runtime/connection.ts";
import { observeCertificates } from "../../../../src/haproxy/runtime/observe-certificates.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { Secret } from "../../../../src/support/secret.ts";
import { type FakeRuntimeSocket, fakeRuntimeSocket } from "../../../support/fake-runtime-socket.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const list = "/c/list.txt";
const none = "No ongoing transaction!\n\n";

/** What HAProxy says when all goes well (2.6.12, 3.0.11, 3.2.26). */
function wellAnswer(line: string): string {
  const file = line.split(" ").at(-1);
  if (line.startsWith("abort ssl cert")) return none;
  if (line.startsWith("new ssl cert")) return `New empty certificate store '${file}'!\n\n`;
  if (line.startsWith("set ssl cert")) return `Transaction created for certificate ${file}!\n\n`;
  if (line.startsWith("commit ssl cert")) return `Committing ${file}.\nSuccess!\n\n`;
  if (line.startsWith("add ssl crt-list"))
    return `Inserting certificate '/c/new.pem' in crt-list '${file}'.\nSuccess!\n\n`;
  if (line.startsWith("del ssl crt-list")) return `Entry '${file}' deleted in crtlist '${list}'!\n\n`;
  return `Certificate '${file}' deleted!\n\n`;
}

async function haproxy(answer: (line: string, payload: readonly string[]) => string | undefined = () => undefined) {
  const socket: FakeRuntimeSocket = await fakeRuntimeSocket({
    answer: (line, payload) => answer(line, payload) ?? wellAnswer(line),
  });
  const connection = await RuntimeConnection.open({ path: socket.path, clock: systemClock });
  opened.push(socket, connection);
  return {
    socket,
    run: (operations: readonly CertificateOperation[]) => executeCertificates(connection, operations),
    connection,
  };
}

const certificate = (name: string, names: readonly string[] = []): Certificate => ({
  file: `/c/${name}.pem`,
  names,
  fingerprint: "AB",
  digest: "d",
  pem: new Secret("-----BEGIN X-----\nkey-material\n-----END X-----\n"),
});
const set = (name: string): CertificateOperation => ({ kind: "set-certificate", certificate: certificate(name) });
const add = (name: string): CertificateOperation => ({
  kind: "add-certificate",
  list,
  certificate: certificate(name, ["a.test", "*.a.test"]),
});
const remove = (name: string): CertificateOperation => ({ kind: "remove-certificate", list, file: `/c/${name}.pem` });

describe("operations on certificates", () => {
  test("in their order, each in one transaction, the content without its last newline", async () => {
    const payloads: string[] = [];
    const { run, socket } = await haproxy((line, payload) => {
      if (payload.length > 0) payloads.push(`${line.split(" ")[0]}: ${payload.join("|")}`);
      return undefined;
    });
    expect(await run([set("old"), add("new"), remove("gone")])).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    expect(socket.lines).toEqual([
      "abort ssl cert /c/old.pem",
      "set ssl cert /c/old.pem",
      "commit ssl cert /c/old.pem",
      "abort ssl cert /c/old.pem",
      "new ssl cert /c/new.pem",
      "set ssl cert /c/new.pem",
      "commit ssl cert /c/new.pem",
      "abort ssl cert /c/new.pem",
      "add ssl crt-list /c/list.txt",
      "del ssl crt-list /c/list.txt /c/gone.pem",
      "del ssl cert /c/gone.pem",
    ]);
    expect(payloads).toEqual([
      "set: -----BEGIN X-----|key-material|-----END X-----",
      "set: -----BEGIN X-----|key-material|-----END X-----",
      "add: /c/new.pem a.test *.a.test",
    ]);
    expect(await run([])).toEqual([]);
  });

  test("done a second time they do no harm", async () => {
    const { run } = await haproxy((line) => {
      if (line.startsWith("new")) return "Certificate '/c/new.pem' already exists!\n\n";
      if (line.startsWith("del ssl crt-list"))
        return "Can't delete the entry: certificate '/c/x.pem' does not exist!\n\n";
      if (line.startsWith("del ssl cert"))
        return "Can't remove the certificate: certificate '/c/x.pem' doesn't exist!\n\n";
      return undefined;
    });
    expect(await run([add("new"), remove("x")])).toEqual([{ ok: true }, { ok: true }]);
  });

  test("a key that does not fit fails the commit; the transaction is aborted, others go on, nothing secret is told", async () => {
    const said = "inconsistencies between private key and certificate loaded '/c/bad.pem'.\nCan't commit /c/bad.pem!";
    const { run, socket } = await haproxy((line) =>
      line === "commit ssl cert /c/bad.pem" ? `${said}\n\n` : undefined,
    );
    const results = await run([set("bad"), set("good")]);
    expect(results).toEqual([{ ok: false, command: "commit ssl cert /c/bad.pem", answer: said }, { ok: true }]);
    expect(socket.lines.slice(3, 5)).toEqual(["abort ssl cert /c/bad.pem", "set ssl cert /c/good.pem"]);
    expect(JSON.stringify(results)).not.toContain("key-material");
  });

  test("one that could not be filled is taken away again, so that it can be added anew", async () => {
    const { run, socket } = await haproxy((line) =>
      line.startsWith("commit") ? "Can't commit /c/new.pem!\n\n" : undefined,
    );
    expect(await run([add("new")])).toMatchObject([{ ok: false, command: "commit ssl cert /c/new.pem" }]);
    expect(socket.lines.at(-1)).toBe("del ssl cert /c/new.pem");
  });

  test("while somebody's own transaction is open nothing is sent: 2.6 would mix the two", async () => {
    const said = "The ongoing transaction is about '/x.pem' but you are trying to abort a transaction for '/c/a.pem'";
    const { run, socket } = await haproxy((line) => (line.startsWith("abort") ? `${said}\n\n` : undefined));
    expect(await run([set("a"), remove("b")])).toEqual([
      { ok: false, command: "abort ssl cert /c/a.pem", answer: said },
      { ok: false, command: "abort ssl cert /c/a.pem", answer: said },
    ]);
    expect(socket.lines).toEqual(["abort ssl cert /c/a.pem"]);
  });

  test("2.6's `updated` for another's transaction is no success", async () => {
    const { run } = await haproxy((line) =>
      line.startsWith("set") ? "Transaction updated for certificate /x.pem!\n\n" : undefined,
    );
    expect(await run([set("a")])).toMatchObject([{ ok: false, command: "set ssl cert /c/a.pem" }]);
  });

  test("a payload of 15,000 bytes goes through", async () => {
    const { run } = await haproxy();
    const pem = new Secret(`${"x".repeat(74)}\n`.repeat(200));
    expect(await run([{ kind: "set-certificate", certificate: { ...certificate("a"), pem } }])).toEqual([{ ok: true }]);
  });
});

describe("what the process has", () => {
  test("the list's entries with their fingerprints; undefined where it is not loaded", async () => {
    const { connection } = await haproxy((line) => {
      if (line === "show ssl crt-list -n /c/list.txt")
        return "# /c/list.txt\n/c/default.pem:1 !*\n/c/a.pem:3 a.test\n\n";
      if (line.startsWith("show ssl crt-list")) return "didn't find the specified filename\n\n";
      if (line === "show ssl cert /c/a.pem")
        return "Filename: /c/a.pem\nStatus: Used\nSHA1 FingerPrint: DC00\nSubject: /\n\n";
      return "Filename: /c/default.pem\nStatus: Empty\n\n";
    });
    expect(await observeCertificates(connection, list)).toEqual([
      { file: "/c/default.pem", names: [], fingerprint: "" },
      { file: "/c/a.pem", names: ["a.test"], fingerprint: "DC00" },
    ]);
    expect(await observeCertificates(connection, "/other")).toBeUndefined();
  });
});
