import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";

const openssl = promisify(execFile);

export interface MadeCertificate {
  /** The certificate alone, PEM. */
  readonly certificate: string;
  readonly key: string;
  /** Both, as one file. */
  readonly pem: string;
}

export interface CertificateWish {
  /** The first one is the common name too. */
  readonly names: readonly string[];
  /** Default: 60. */
  readonly days?: number;
  /** Default: ec. */
  readonly kind?: "ec" | "rsa" | "weak";
  /** Who signs it. Default: itself. */
  readonly issuer?: MadeCertificate;
  /** Whether it may sign others. */
  readonly authority?: boolean;
}

const kinds = {
  ec: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
  rsa: ["-newkey", "rsa:2048"],
  /** Shorter than OpenSSL's security level allows. */
  weak: ["-newkey", "rsa:512"],
} as const;

/** A certificate made by openssl. */
export async function makeCertificate(wish: CertificateWish): Promise<MadeCertificate> {
  const { names, days = 60, kind = "ec", issuer, authority = false } = wish;
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-certificate-"));
  const file = (name: string) => path.join(directory, name);
  try {
    if (issuer !== undefined) {
      await writeFile(file("issuer.pem"), issuer.certificate);
      await writeFile(file("issuer.key"), issuer.key);
    }
    await openssl("openssl", [
      ...["req", "-x509", ...kinds[kind], "-nodes", "-days", String(days)],
      ...["-keyout", file("key"), "-out", file("crt"), "-subj", `/CN=${names[0] ?? "nobody"}`],
      ...(names.length === 0 ? [] : ["-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`]),
      ...["-addext", `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`],
      ...(issuer === undefined ? [] : ["-CA", file("issuer.pem"), "-CAkey", file("issuer.key")]),
    ]);
    const [certificate, key] = await Promise.all([readFile(file("crt"), "utf8"), readFile(file("key"), "utf8")]);
    return { certificate, key, pem: `${certificate}${key}` };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a client is shown that asks for a name by SNI, or for none. */
export interface Shown {
  /** Upper-case hex without colons. */
  readonly fingerprint: string;
  readonly commonName: string;
  readonly protocol: string | null;
  /** What was agreed on by ALPN; false for nothing. */
  readonly alpn: string | false | null;
}

/** One handshake. Rejects where there is none. */
export function shownTo(port: number, name: string | undefined, alpn: readonly string[] = []): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      {
        host: "127.0.0.1",
        port,
        rejectUnauthorized: false,
        timeout: 5_000,
        ...(name !== undefined && { servername: name }),
        ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
      },
      () => {
        const { fingerprint, subject } = socket.getPeerCertificate();
        const found = {
          fingerprint: fingerprint.replaceAll(":", ""),
          commonName: String(subject.CN),
          protocol: socket.getProtocol(),
          alpn: socket.alpnProtocol,
        };
        socket.end();
        resolve(found);
      },
    );
    socket.on("timeout", () => socket.destroy(new Error("no handshake within 5 s")));
    socket.on("error", reject);
  });
}

/** One HTTPS request, whoever signed the certificate. Rejects when there is no answer within 5 s. */
export function askTls(
  port: number,
  question: { readonly host: string; readonly path?: string; readonly auth?: string },
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        path: question.path ?? "/",
        servername: question.host,
        headers: { host: question.host },
        ...(question.auth !== undefined && { auth: question.auth }),
        agent: new Agent({ keepAlive: false, rejectUnauthorized: false, maxCachedSessions: 0 }),
        timeout: 5_000,
      },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body }));
        incoming.on("error", reject);
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 5 s")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}
