import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for these host names, signed by its own key: who trusts it as an authority accepts it. */
export async function selfSigned(...names: readonly string[]): Promise<Certificate> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-certificate-"));
  const [cert, key] = [path.join(directory, "cert.pem"), path.join(directory, "key.pem")];
  try {
    const alternatives = names.map((name) => `DNS:${name}`).join(",");
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const subject = ["-subj", `/CN=${names[0]}`, "-addext", `subjectAltName=${alternatives}`];
    await run("openssl", ["req", "-x509", ...curve, "-days", "2", ...subject, "-keyout", key, "-out", cert]);
    return { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
